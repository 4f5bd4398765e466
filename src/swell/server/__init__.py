"""The control-plane process: carries events to the engine and its effects out again."""
