"""Writes Tests/Goldens/tokenizer: a corpus, small tokenizers trained on it, and the reference's answers.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3
    venv/bin/python Scripts/goldens/tokenizer_corpus.py [extra tokenizer.json, hashes go beside it]

corpus.bin    per line: length (uint16, little-endian) and that many bytes, not always valid UTF-8
NAME.json     a trained byte-level BPE, as `tokenizers` saves it
NAME.hashes   per line one uint32: FNV-1a over the int32 ids with special tokens parsed and added, then -1, then the
              ids with special tokens neither parsed nor added
The same seed and versions give the same files.
"""

import pathlib
import random
import struct
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/tokenizer"
LINES = 10_400

# A few everyday words per language: enough for merges across many scripts.
WORDS = {
    "English": "the of and to in water people answer number always sound little world between house picture again "
    "animal point mother letter because don't we're I've they'll she'd it's can't O'Neill model training token",
    "French": "l'été français où être garçon cœur naïve déjà vu forêt hôtel aujourd'hui leçon élève",
    "German": "Straße über größer Mädchen fünfzehn Übergang schön Fußball Öffnung außerdem",
    "Spanish": "niño mañana ¿qué? ¡hola! corazón pingüino también año",
    "Vietnamese": "người Việt Nam không được những trường học thành phố đường",
    "Turkish": "İstanbul ışık güneş çocuk öğretmen şeker ığdır",
    "Polish": "źródło żółty ćma łódź ślimak pięć gęś",
    "Czech": "příliš žluťoučký kůň úpěl ďábelské ódy",
    "Russian": "вода человек дом ответ всегда мир между школа учитель язык объём ёлка",
    "Ukrainian": "їжак ґанок євро воїн місяць",
    "Greek": "νερό άνθρωπος σπίτι κόσμος γλώσσα ΐ ὕδωρ ᾧ",
    "Arabic": "ماء إنسان بيت عالم لغة مدرسة السَّلامُ عَلَيْكُمْ ٱلْعَرَبِيَّة",
    "Persian": "می‌خواهم کتاب‌ها آب خانه گفت‌وگو",
    "Hebrew": "מים אדם בית עולם שָׁלוֹם שפה",
    "Hindi": "पानी आदमी घर दुनिया भाषा क्षत्रिय ज्ञान हिन्दी र्‍क",
    "Bengali": "জল মানুষ বাড়ি পৃথিবী ভাষা ক্ষুদ্র",
    "Tamil": "நீர் மனிதன் வீடு உலகம் மொழி",
    "Telugu": "నీరు మనిషి ఇల్లు ప్రపంచం",
    "Thai": "น้ำ คน บ้าน โลก ภาษา เก้าอี้",
    "Lao": "ນ້ຳ ຄົນ ເຮືອນ",
    "Khmer": "ទឹក មនុស្ស ផ្ទះ ភាសា",
    "Burmese": "ရေ လူ အိမ် ကမ္ဘာ",
    "Tibetan": "ཆུ་ མི་ ཁང་པ་ འཇིག་རྟེན་",
    "Georgian": "წყალი ადამიანი სახლი მსოფლიო",
    "Armenian": "ջուր մարդ տուն աշխարհ և",
    "Amharic": "ውሃ ሰው ቤት ዓለም ቋንቋ",
    "Chinese": "水 人 房子 世界 之间 学校 老师 语言 人工智能 大模型 訓練 發展 龍 𠮷野家 〇",
    "Japanese": "水は ひと 家 世界 言語 カタカナ ﾊﾝｶｸ がぎぐげご パピプペポ 々 ー 日本語の文章",
    "Korean": "물 사람 집 세계 언어 한국어 ㅋㅋㅋ 각",
    "Cherokee": "ᎠᎹ ᏴᏫ ꭰꮉ",
    "Inuktitut": "ᐃᓄᒃᑎᑐᑦ ᐃᒥᖅ",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ монгол хэл",
    "Gothic": "𐍅𐌰𐍄𐍉 𐌼𐌰𐌽𐌽𐌰",
    "Deseret": "𐐎𐐫𐐻𐐲𐑉",
    "Mathematics": "𝐱² ∑ᵢ₌₁ⁿ ½ ⅷ Ⅷ ① ㉓ ٣٤٥ ४५६ ๓๔ ∫ ≤ ≠ ±∞ √2 ℵ₀ 𝟘𝟙𝟚 π≈3.14159 10⁻³ x′ ℝ",
}
CODE = [
    "func add(_ a: Int, _ b: Int) -> Int { a + b }",
    "for (int i = 0; i < n; ++i) {\n\t\tsum += x[i] * y[i];\n\t}",
    "def f(x):\n    return [v ** 2 for v in x if v % 2 == 0]\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name;",
    '{"key": [1, 2.5e-10, null, true], "text": "a\\nb\\u00e9"}',
    "<div class=\"row\"><a href='/x?y=1&amp;z=2'>link</a></div>",
    "#include <stdio.h>\r\nint main(void) { return 0; }\r\n",
    "if err != nil {\n\treturn fmt.Errorf(\"x: %w\", err)\n}\n\n\n",
    "$ ls -la | grep '^d' && echo \"$HOME\" > /dev/null 2>&1",
    "let mut v: Vec<Option<&'a str>> = vec![None; 8]; // TODO",
    "\\begin{equation} \\frac{\\partial L}{\\partial w_{ij}} \\end{equation}",
    "@media (max-width: 600px) { .a > b::after { content: '→'; } }",
    "0xDEADBEEF 0b1010 1_000_000 1e-5f 0777 'c' \"\\x41\"",
    "        return self.__init__(*args, **kwargs)  # noqa: E501",
    "https://example.org/a/b?c=d#e user@example.org v1.2.3-rc.4+build.5 C:\\Users\\x",
]
EMOJI = "😀 🎉 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇫🇷🇯🇵 ❤️ 1️⃣ 🧑🏿‍🚀 ☃️ ✨ 🤷🏻‍♀️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ⌚ 🫠 👩🏼‍❤️‍💋‍👨🏾".split(" ")
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|begin_of_text|> <|eot_id|> <|im_start <|im_|im_end|> <mask> [WORD] "
    "<n> <tool_call> </tool_call> <|endoftext|><|endoftext|> Ama\u0301lia Am\u00e1lia <| |> <||> ab abc abcd"
).split(" ")
SPACES = " \t\n\r\v\f\x85\xa0\u1680\u180e\u2000\u2003\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
CONTRACTIONS = "'s 'S 't 'T 're 'RE 'rE 've 'VE 'm 'M 'll 'LL 'lL 'd 'D 'ſ ’s 'x ' ''s '1".split(" ")
BROKEN = [
    b"\x80", b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80",
    b"\xf8\x88\x80\x80\x80", b"\xc3", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc", b"\xf0\x9f\x41", b"\xfe\xfe\xff\xff",
]

random_source = random.Random(20240613)
choice, randint = random_source.choice, random_source.randint


def normalizes_alike(c):
    # The reference normalises with Unicode 9's tables: 99 marks and some 70 compatibility characters are newer.
    forms = (("NFC", normalizers.NFC()), ("NFKC", normalizers.NFKC()))
    texts = (f"a\u0327{chr(c)}", f"a{chr(c)}\u0327", f"a{chr(c)}\u0301", f"a\u0301{chr(c)}", f"{chr(c)}\u0334")
    return all(own.normalize_str(t) == unicodedata.normalize(name, t) for name, own in forms for t in texts)


def is_old_punctuation(c):
    # The reference's Punctuation knows Unicode 8.
    if unicodedata.category(chr(c))[0] != "P":
        return True
    return len(pre_tokenizers.Punctuation().pre_tokenize_str(f"a{chr(c)}a")) == 3


def assigned(ranges):
    # Characters newer than Unicode 14 are left out too: the engines' tables differ in age.
    return [
        c for low, high in ranges for c in range(low, high)
        if unicodedata.category(chr(c)) not in ("Cn", "Cs") and normalizes_alike(c) and is_old_punctuation(c)
    ]


EVERYTHING = assigned([(0, 0x2FA20), (0xE0000, 0xE01F0), (0xF0000, 0xF0010), (0x10FFF0, 0x10FFFE)])
BASIC = assigned([(0x20, 0x3000)])
MARKS = [c for c in EVERYTHING if unicodedata.category(chr(c)).startswith("M")]
NUMBERS = [c for c in EVERYTHING if unicodedata.category(chr(c)).startswith("N")]
SYMBOLS = [c for c in EVERYTHING if unicodedata.category(chr(c))[0] in "PS"]


def words(count):
    language = choice(list(WORDS))
    return [choice(WORDS[language].split(" ")) for _ in range(count)]


def sentence():
    result = " ".join(words(randint(1, 12)))
    if random_source.random() < 0.4:
        result = result[:1].upper() + result[1:] + choice([".", "!", "?", "…", "。", " —", "...", ";"])
    return result


def number():
    kind = randint(0, 4)
    digits = "".join(choice("0123456789") for _ in range(choice([1, 2, 3, 4, 5, 7, 12, 40, 120])))
    if kind == 0:
        return digits
    if kind == 1:
        return f"{digits[:3]},{digits[3:6]}.{digits[6:9]}"
    if kind == 2:
        return "$" + digits + "%"
    if kind == 3:
        return "".join(chr(choice(NUMBERS)) for _ in range(randint(1, 8)))
    return "-".join([digits[:4], digits[4:6], digits[6:8]])


def spacing():
    return "".join(choice(SPACES) if random_source.random() < 0.5 else " " for _ in range(randint(1, 9)))


def scalars(pool, most):
    return "".join(chr(choice(pool)) for _ in range(randint(1, most)))


def marked():
    result = ""
    for _ in range(randint(1, 5)):
        base = choice(["a", "e", "o", "Å", "q", "ᄀ", "ᄀ\u1161", "가", "가\u11a8", "ệ", "が", "は\u3099", "\u212b", "\u0958", "x"])
        result += base + "".join(chr(choice(MARKS)) for _ in range(randint(0, 4)))
    return result


def controls():
    return "".join(chr(choice(list(range(0, 32)) + [127, 0x85, 0x9F])) for _ in range(randint(1, 6)))


def run():
    return choice(["a", "ab", " ", "\n", "é", "水", "!", "=", "-", "\t", "\r\n", "0", "😀", "<", "x "]) * randint(2, 90)


PARTS = [
    (30, sentence), (6, number), (8, lambda: choice(CODE)), (5, lambda: choice(EMOJI)), (6, lambda: choice(SPECIAL)),
    (7, spacing), (5, lambda: scalars(EVERYTHING, 8)), (5, lambda: scalars(BASIC, 8)), (4, marked), (2, controls),
    (1, run), (5, lambda: choice(WORDS["English"].split(" ")) + choice(CONTRACTIONS)), (3, lambda: scalars(SYMBOLS, 4)),
]
POOL = [part for weight, part in PARTS for _ in range(weight)]


def line():
    count = choice([1, 1, 1, 2, 2, 3])
    result = "".join(choice(POOL)() + choice(["", " ", " ", "\n", "\t", "  ", "\r\n"]) for _ in range(count))
    data = result.encode("utf-8")
    if random_source.random() < 0.06:
        for _ in range(randint(1, 3)):
            at = randint(0, len(data))
            data = data[:at] + choice(BROKEN) + data[at:]
    elif random_source.random() < 0.02:
        data = data[: randint(0, len(data))]
    return data[:250]


def corpus():
    fixed = [b"", b" ", b"\n", b"\r\n", b"a", "é".encode(), b"\x00", b"'", b"  a", b"a  ", b"a \n b", b" \n\n  \n x"]
    fixed += BROKEN + [s.encode() for s in SPECIAL + EMOJI + CODE + CONTRACTIONS]
    return fixed + [line() for _ in range(LINES - len(fixed))]


GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def splitting(expression):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(expression), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def special(content, **flags):
    return AddedToken(content, special=True, normalized=False, **flags)


# Each tokenizer's tokens exercise other flags of added tokens.
KINDS = {
    "gpt2": dict(cut=GPT2, tokens=[special("<|endoftext|>"), special("<mask>", lstrip=True), AddedToken("<n>", rstrip=True)]),
    "smollm": dict(
        cut=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2]),
        tokens=[special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>"),
                AddedToken("[WORD]", single_word=True, normalized=False), AddedToken("abc", single_word=True)]),
    "llama3": dict(
        cut=splitting(LLAMA3), ignore_merges=True,
        tokens=[special("<|begin_of_text|>"), special("<|eot_id|>"), special("<mask>", lstrip=True, rstrip=True)]),
    "qwen2": dict(
        cut=splitting(QWEN2), normalizer=normalizers.NFC(),
        tokens=[special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>"),
                AddedToken("<tool_call>", normalized=False), AddedToken("Ama\u0301lia"), AddedToken("abcd", normalized=True)]),
    # Steps no well-known model combines, to hold the rarer ones to the reference.
    "steps": dict(
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("ab", "ba "), normalizers.Prepend("_")]),
        cut=pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(r"\w+@|[\p{Han}\h]+"), behavior="contiguous", invert=False),
            pre_tokenizers.Split("->", behavior="merged_with_previous", invert=False),
            pre_tokenizers.Split(Regex(r"\W"), behavior="merged_with_next", invert=False),
            pre_tokenizers.Split("水", behavior="removed", invert=False),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True),
        ]),
        tokens=[special("<|endoftext|>"), AddedToken("[WORD]", lstrip=True, single_word=True)]),
}


def train(name, texts, cut, tokens, ignore_merges=False, normalizer=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = cut, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=1_200 if name == "steps" else 2_400, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), max_token_length=40)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(tokens)
    if name == "llama3":
        begin = "<|begin_of_text|>"
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokenizer.token_to_id(begin))]),
        ])
    tokenizer.save(str(FOLDER / f"{name}.json"), pretty=False)


def fnv(ids):
    result = 0x811C9DC5
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        result = ((result ^ byte) * 0x01000193) & 0xFFFFFFFF
    return result


def answers(tokenizer, text):
    tokenizer.encode_special_tokens = False
    first = tokenizer.encode(text, add_special_tokens=True).ids
    tokenizer.encode_special_tokens = True
    return first + [-1] + tokenizer.encode(text, add_special_tokens=False).ids


def hashes(file, texts):
    tokenizer = Tokenizer.from_file(str(file))
    values = [fnv(answers(tokenizer, text)) for text in texts]
    file.with_suffix(".hashes").write_bytes(struct.pack(f"<{len(values)}I", *values))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = corpus()
    (FOLDER / "corpus.bin").write_bytes(b"".join(struct.pack("<H", len(data)) + data for data in lines))
    texts = [data.decode("utf-8", errors="replace") for data in lines]
    for name, kind in KINDS.items():
        train(name, texts, **kind)
        hashes(FOLDER / f"{name}.json", texts)
    for extra in sys.argv[1:]:
        hashes(pathlib.Path(extra), texts)


if __name__ == "__main__":
    main()
