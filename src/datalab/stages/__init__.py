"""One file per DVC stage: a Params dataclass and run(inputs…, out, params)."""
