"""One layer of a quantised folder's file behind the number of its program: a seed small enough to be changed much."""

import json
import struct
import sys

number, source, target = sys.argv[1:]
data = open(source, "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
kept, parts = {}, []
for name, entry in header.items():
    if name.startswith("model.layers.0.self_attn.k_proj."):
        start, end = entry["data_offsets"]
        offset = sum(map(len, parts))
        parts.append(body[start:end])
        kept["m." + name.rsplit(".", 1)[1]] = entry | {"data_offsets": [offset, offset + end - start]}
text = json.dumps(kept).encode()
open(target, "wb").write(bytes([int(number)]) + struct.pack("<Q", len(text)) + text + b"".join(parts))
