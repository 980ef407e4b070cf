"""Makes the tiny random encoder, the GGUF file of it, and the golden vectors of it and of all-MiniLM-L6-v2, with transformers on the CPU.

Run: python Scripts/goldens/encoders.py [FOLDER]      (a few seconds; versions in requirements.txt)

FOLDER holds the files of the real model, as `angel pull minilm` stores them; without it only the tiny one is made.
Vectors are those of sentence-transformers: the mean of the last hidden states over a text's tokens, divided by its length.
"""

import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, AutoTokenizer

from golden_files import ROOT, write_json

TINY = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "hidden_act": "gelu",
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
}
LENGTHS = [5, 40, 1, 17, 33]
SENTENCES = [
    "A cat sits on the mat.",
    "The weather is lovely today, isn't it?",
    "It's so sunny outside!",
    "He drove to the stadium.",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "Zürich's café served crème brûlée — 3.5 € each (2025).",
    "机器学习",
    "a",
    "",
    "Transformers use self-attention " * 60,
]


TINY_SENTENCES = ["The cat, sitting.", "a", "Über ÄÖ?", "", "the cat " * 30]


def tiny_tokenizer():
    """A WordPiece tokenizer of 64 entries, the marks of BERT around a text."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    entries += [".", ",", "the", "cat", "##ing", "##at", "sit"]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(entries[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def random_weights(config, seed):
    """Weights by Hugging Face name: projections keep the variance, norms lie around 1, biases around 0."""
    random = np.random.Generator(np.random.PCG64(seed))
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    weights = {}

    def linear(name, rows, columns, scale=1.0):
        weights[f"{name}.weight"] = random.standard_normal((rows, columns)) * scale / np.sqrt(columns)
        weights[f"{name}.bias"] = 0.3 * random.standard_normal(rows)

    def norm(name):
        weights[f"{name}.weight"] = 1.0 + 0.2 * random.standard_normal(hidden)
        weights[f"{name}.bias"] = 0.2 * random.standard_normal(hidden)

    counts = {"word": config["vocab_size"], "position": config["max_position_embeddings"], "token_type": 2}
    for kind, count in counts.items():
        weights[f"embeddings.{kind}_embeddings.weight"] = random.standard_normal((count, hidden))
    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        for part in ("query", "key"):
            linear(f"{prefix}.attention.self.{part}", hidden, hidden, 1.5)
        linear(f"{prefix}.attention.self.value", hidden, hidden)
        linear(f"{prefix}.attention.output.dense", hidden, hidden)
        norm(f"{prefix}.attention.output.LayerNorm")
        linear(f"{prefix}.intermediate.dense", inner, hidden)
        linear(f"{prefix}.output.dense", hidden, inner)
        norm(f"{prefix}.output.LayerNorm")
    # As in files of users; a sentence vector does not use it.
    linear("pooler.dense", hidden, hidden)
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}


def write_gguf(path, config, weights, tokenizer):
    """The file that llama.cpp's converter (conversion/bert.py) makes of the folder, in float32, without the pooler."""
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("bert-tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(config["type_vocab_size"])
    ids = tokenizer.get_vocab()
    entries, special = sorted(ids, key=ids.get), {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    # Words begin with a mark; what continues one has none.
    spelled = [
        entry if entry in special else entry[2:] if entry.startswith("##") else "\u2581" + entry for entry in entries]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(spelled)
    writer.add_token_types([gguf.TokenType.CONTROL if entry in special else gguf.TokenType.NORMAL for entry in entries])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, weight in weights.items():
        if not name.startswith("pooler."):
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def hidden_states(model, tokens):
    """The last hidden states of one text by itself, [tokens, width]."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens])).last_hidden_state[0]


def vectors(model, texts):
    """Mean over the tokens, divided by its length; one row a text."""
    means = torch.stack([hidden_states(model, tokens).mean(dim=0) for tokens in texts])
    return torch.nn.functional.normalize(means, dim=1).numpy()


def save_floats(path, values):
    """Little-endian float32, row-major."""
    np.ascontiguousarray(values, dtype="<f4").tofile(path)
    return {"file": path.name, "dtype": "float32 little-endian, row-major", "shape": list(values.shape)}


def load(folder):
    """The reference model."""
    return AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def make_tiny():
    """bert-tiny: a checkpoint with its hidden states and vectors."""
    folder = ROOT / "bert-tiny"
    shutil.rmtree(folder, ignore_errors=True)
    write_json(folder / "config.json", TINY)
    weights = random_weights(TINY, seed=90)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_gguf(folder / "bert-tiny-F32.gguf", TINY, weights, tiny_tokenizer())
    model = load(folder)
    random = np.random.Generator(np.random.PCG64(91))
    texts = [[int(token) for token in random.integers(0, TINY["vocab_size"], length)] for length in LENGTHS]
    states = torch.cat([hidden_states(model, tokens) for tokens in texts]).numpy()
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    tokenizer.enable_truncation(TINY["max_position_embeddings"])
    tokens = [tokenizer.encode(sentence).ids for sentence in TINY_SENTENCES]
    value = {
        "sentences": TINY_SENTENCES,
        "sentenceTokens": tokens,
        "sentenceVectors": save_floats(folder / "sentence-vectors.bin", vectors(model, tokens)),
        "texts": texts,
        "hiddenStates": save_floats(folder / "hidden-states.bin", states),
        "vectors": save_floats(folder / "vectors.bin", vectors(model, texts)),
    }
    write_json(folder / "embedding-golden.json", value)


def make_minilm(source):
    """The vectors of the real model for a few sentences; its files are not stored."""
    folder = ROOT / "minilm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer, model = AutoTokenizer.from_pretrained(source), load(source)
    texts = [tokenizer(text, truncation=True, max_length=256)["input_ids"] for text in SENTENCES]
    value = {
        "sentences": SENTENCES,
        "texts": texts,
        "vectors": save_floats(folder / "vectors.bin", vectors(model, texts)),
    }
    write_json(folder / "embedding-golden.json", value)


def main():
    """Makes the tiny encoder's goldens, and those of the real one where its files are."""
    torch.set_num_threads(1)
    make_tiny()
    if len(sys.argv) > 1:
        make_minilm(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
