"""Any causal model of transformers (Llama, Qwen, Gemma, ...) behind our protocol."""
