"""The engine: experiment → trained run folder → embedder."""
