"""Label Studio: projects, tasks, annotations, people, and its mask formats."""
