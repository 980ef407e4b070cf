"""A byte-level BPE tokenizer of 264 tokens, the same as tokenizer.json and as GGUF metadata.

Ids 0-2 are special, 3-258 the 256 bytes in their printable spelling, 259-263 come from five merges.
"""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
UNKNOWN, BEGIN, END = 0, 1, 2
MERGES = [("\u0120", "t"), ("h", "e"), ("\u0120t", "he"), ("i", "n"), ("e", "r")]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def byte_spelling():
    """The printable character that stands for each byte: itself where visible, else from U+0100 upwards."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    spelling = {byte: chr(byte) for byte in visible}
    spelling.update({byte: chr(0x100 + index) for index, byte in enumerate(hidden)})
    return [spelling[byte] for byte in range(256)]


def tokens():
    """All 264 token strings in id order; byte b has id 3 + b."""
    return [*SPECIALS, *byte_spelling(), *(left + right for left, right in MERGES)]


def build():
    """The tokenizer as the `tokenizers` library runs it."""
    vocabulary = {token: index for index, token in enumerate(tokens())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return tokenizer


def tokenizer_config():
    """What tokenizer_config.json says."""
    return {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "bos_token": SPECIALS[BEGIN],
        "eos_token": SPECIALS[END],
        "pad_token": SPECIALS[END],
        "unk_token": SPECIALS[UNKNOWN],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 256,
        "chat_template": CHAT_TEMPLATE,
    }
