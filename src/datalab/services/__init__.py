"""Starting, checking and stopping the local servers."""
