"""Writes Tests/Goldens/tokenizer: small tokenizers of every kind beyond byte-level BPE, and the references' answers.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3
    venv/bin/python Scripts/goldens/tokenizer_kinds.py

NAME.json      a tokenizer trained on the corpus of tokenizer_corpus.py, as `tokenizers` saves it
NAME.model     one trained by `sentencepiece`
NAME.hashes    per line one uint32 as in tokenizer_corpus.py; for a .model: FNV-1a over the int32 ids
NAME.texts     per line one uint32: FNV-1a over the UTF-8 bytes that the ids decode to, special tokens skipped
The same seed and versions give the same files.
"""

import io
import json
import struct
import sys
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizer_corpus import FOLDER, answers, corpus, fnv, special

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LLAMA_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
# Mapped as SentencePiece's own rules would: wide forms, ligatures, combinations, a control character, Hangul letters.
RULES = {
    "Ａ": "A", "ｂ": "b", "ﬁ": "fi", "…": "...", "\u00a0": " ", "\u3000": " ", "\u200b": "", "①": "1", "½": "1/2", "ｶﾞ": "ガ",
    "e\u0301": "é", "a\u0308": "ä", "\u2028": " ", "\t": " ", "\n": " ", "\r": "", "㈱": "(株)", "ﾊﾟ": "パ", "…。": "。", "\u0301": "",
}


def fnv_bytes(data):
    result = 0x811C9DC5
    for byte in data:
        result = ((result ^ byte) * 0x01000193) & 0xFFFFFFFF
    return result


def write(name, values, suffix):
    (FOLDER / f"{name}.{suffix}").write_bytes(struct.pack(f"<{len(values)}I", *values))


def save(name, tokenizer, texts):
    tokenizer.save(str(FOLDER / f"{name}.json"), pretty=False)
    tokenizer = Tokenizer.from_file(str(FOLDER / f"{name}.json"))
    ids = [answers(tokenizer, text) for text in texts]
    write(name, [fnv(line) for line in ids], "hashes")
    decoded = [tokenizer.decode(line[: line.index(-1)], skip_special_tokens=True) for line in ids]
    write(name, [fnv_bytes(text.encode()) for text in decoded], "texts")


def with_template(tokenizer, begin, end=None):
    pieces = [begin, "$A"] + ([end] if end else [])
    names = [begin] + ([end] if end else [])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(pieces), pair=" ".join(pieces + ["$B"]),
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in names])


def pairs(texts, size, alphabet, bytes_too=True, **options):
    """A BPE whose pieces are words with a marker, with <unk>, <s>, </s> first and the byte tokens last."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, limit_alphabet=alphabet, special_tokens=["<unk>", "<s>", "</s>"])
    tokenizer.train_from_iterator(texts, trainer)
    saved = json.loads(tokenizer.to_str())
    saved["model"].update(options)
    if bytes_too:
        vocabulary = saved["model"]["vocab"]
        vocabulary.update({token: len(vocabulary) + index for index, token in enumerate(BYTES)})
        saved["model"]["byte_fallback"] = True
    saved["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(saved))


def llama(texts):
    tokenizer = pairs(texts, 1_500, 400, fuse_unk=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER + [decoders.Strip(" ", 1, 0)])
    with_template(tokenizer, "<s>")
    save("llama", tokenizer, texts)


def mistral(texts):
    tokenizer = pairs(texts, 1_200, 300, fuse_unk=True)
    tokenizer.add_tokens([special("[INST]"), special("<|im_start|>"), AddedToken("<tool_call>", normalized=False)])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER + [decoders.Strip(" ", 1, 0)])
    with_template(tokenizer, "<s>")
    save("mistral", tokenizer, texts)


def gemma(texts):
    tokenizer = pairs(texts, 1_200, 500, fuse_unk=True)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ["\n\n", "\n", "  ", "    ", "<mask>"]])
    tokenizer.add_tokens([special("<|im_start|>"), special("<|im_end|>")])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous", invert=False)
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER)
    with_template(tokenizer, "<s>")
    save("gemma", tokenizer, texts)


def metaspace(texts):
    tokenizer = pairs(texts, 1_000, 250, bytes_too=False, fuse_unk=False)
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace(Regex(r"\d+"), "9"), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Strip(True, True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="first", split=True), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=True), special("<|im_start|>")])
    save("metaspace", tokenizer, texts)


def character_map():
    """The rules as SentencePiece compiles them."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES.items():
            hexadecimal = [" ".join(f"{ord(c):X}" for c in text) for text in (source, target)]
            rules.write("\t".join(hexadecimal) + "\n")
        rules.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c d e f"] * 10), model_writer=model, vocab_size=10, model_type="bpe",
            normalization_rule_tsv=rules.name, hard_vocab_limit=False, minloglevel=2)
    from sentencepiece import sentencepiece_model_pb2
    parsed = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return parsed.normalizer_spec.precompiled_charsmap


def known(texts):
    """The texts without rare characters: trainers keep all they see, and some must stay unknown."""
    return ["".join(c if 0 < ord(c) < 0x500 or c in "水人世界言語" else " " for c in text) for text in texts]


def unigram(name, texts, fallback):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Precompiled(character_map()), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=not fallback)
    trainer = trainers.UnigramTrainer(
        vocab_size=1_500, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        max_piece_length=12)
    tokenizer.train_from_iterator(known(texts), trainer)
    saved = json.loads(tokenizer.to_str())
    if fallback:
        saved["model"]["vocab"].extend([token, 0.0] for token in BYTES)
        saved["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(saved))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]) if fallback else decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    save(name, tokenizer, texts)


def bert(name, texts, lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=2_000, show_progress=False, limit_alphabet=500,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=lowercase)
    with_template(tokenizer, "[CLS]", "[SEP]")
    save(name, tokenizer, texts)


def piece_model(name, texts, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in known(texts) if text.strip()]), model_writer=model,
        vocab_size=1_500, hard_vocab_limit=False, num_threads=1, minloglevel=2, **options)
    (FOLDER / f"{name}.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    lines = [processor.encode(text) for text in texts]
    write(name, [fnv(line) for line in lines], "hashes")
    # An unknown piece would be written as a mark of its own.
    known_pieces = [[piece for piece in line if piece != processor.unk_id()] for line in lines]
    write(name, [fnv_bytes(processor.decode(line).encode()) for line in known_pieces], "texts")


def piece_models(texts):
    piece_model(
        "pieces-bpe", texts, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", split_digits=True,
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True)
    piece_model(
        "pieces-gemma", texts, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, add_dummy_prefix=False,
        user_defined_symbols=["▁▁", "▁▁▁▁", "\n", "<mask>", "[WORD]"])
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES.items():
            hexadecimal = [" ".join(f"{ord(c):X}" for c in text) for text in (source, target)]
            rules.write("\t".join(hexadecimal) + "\n")
        rules.flush()
        piece_model(
            "pieces-unigram", texts, model_type="unigram", normalization_rule_tsv=rules.name)


def main():
    texts = [data.decode("utf-8", errors="replace") for data in corpus()]
    chosen = sys.argv[1:]
    kinds = {
        "llama": llama, "mistral": mistral, "gemma": gemma, "metaspace": metaspace,
        "unigram": lambda t: unigram("unigram", t, False), "unigram-bytes": lambda t: unigram("unigram-bytes", t, True),
        "bert": lambda t: bert("bert", t, True), "bert-cased": lambda t: bert("bert-cased", t, False),
        "pieces": piece_models,
    }
    for name, make in kinds.items():
        if not chosen or name in chosen:
            make(texts)


if __name__ == "__main__":
    main()
