"""A random language model of 435 KB, written in milliseconds: the whole local runtime under test, with no download.

What it says is noise. Held to a JSON Schema, the noise is valid JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["write_tiny_model"]

_WIDTH, _LAYERS, _FORWARD, _HEADS, _KV_HEADS = 64, 2, 128, 4, 2
_SPECIAL = ["<pad>", "<|im_start|>", "<|im_end|>"]
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_model(path: str | Path, *, seed: int = 0, context_length: int = 4096) -> Path:
    """Write a random llama model with a byte tokenizer and a chat template to `path`; the same seed, the same bytes.

    Raises:
        ConfigurationError: `gguf` and `numpy` are not installed.
    """
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise ConfigurationError(
            f"write_tiny_model needs gguf and numpy ({error}): pip install 'llm-gateway-nb[test]'."
        ) from error
    path = Path(path)
    random = np.random.default_rng(seed)
    tokens = [*_SPECIAL, *_byte_alphabet(), "th"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(context_length)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(_SPECIAL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(_SPECIAL))
    writer.add_token_types(kinds)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)

    def noise(*shape: int, scale: float = 0.5) -> Any:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    def ones(length: int) -> Any:
        return np.ones(length, np.float32)

    head = _WIDTH // _HEADS
    tensors = {
        "token_embd": noise(len(tokens), _WIDTH),
        "output_norm": ones(_WIDTH),
        "output": noise(len(tokens), _WIDTH),
    }
    for layer in range(_LAYERS):
        block = {
            "attn_norm": ones(_WIDTH),
            "ffn_norm": ones(_WIDTH),
            "attn_q": noise(_WIDTH, _WIDTH, scale=0.2),
            "attn_k": noise(_KV_HEADS * head, _WIDTH, scale=0.2),
            "attn_v": noise(_KV_HEADS * head, _WIDTH, scale=0.2),
            "attn_output": noise(_WIDTH, _WIDTH, scale=0.2),
            "ffn_gate": noise(_FORWARD, _WIDTH, scale=0.2),
            "ffn_up": noise(_FORWARD, _WIDTH, scale=0.2),
            "ffn_down": noise(_WIDTH, _FORWARD, scale=0.2),
        }
        tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in block.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(rest)) for byte in range(256)]
