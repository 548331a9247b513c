"""How the task ``Dataset`` reads data: files, tables, arrays and map-style datasets become inputs and targets."""
