import AngelCore
import CAngelKernels
import Testing

@Suite struct KVStoreKernelTests {
  @Test(
    "kv_store lays out keys with the token fastest and values with the element fastest",
    arguments: [ANGEL_F32.rawValue, ANGEL_F16.rawValue, ANGEL_BF16.rawValue])
  func layout(_ cache: UInt8) {
    let c = AttentionCase(
      heads: 2, keyValueHeads: 2, headSize: 24, cache: angel_dtype(rawValue: cache), lengths: [37, 5])
    TestMemory.scope { memory in
      let (arena, count) = c.filled(memory)
      let reference = array(arena, count)
      for set in supportedSets {
        for parts in testedParts {
          let other = c.filled(memory, isa: set, parts: parts)
          #expect(array(other.arena, count) == reference)
        }
      }
      func read(_ address: UnsafeRawPointer) -> Float {
        switch c.cache {
        case ANGEL_F32: address.loadUnaligned(as: Float.self)
        case ANGEL_F16: Float(Float16(bitPattern: address.loadUnaligned(as: UInt16.self)))
        default: Float(bitPattern: UInt32(address.loadUnaligned(as: UInt16.self)) << 16)
        }
      }
      // Position 20 of the first sequence is slot 4 of its second block.
      let keys = UnsafeRawPointer(arena) + Int(c.blockTable[1]) + c.layerBytes
      let values = keys + c.layerBytes / 2
      for head in 0..<2 {
        for d in 0..<24 {
          let source = (20 * 2 + head) * 24 + d
          #expect(read(keys + ((head * 24 + d) * 16 + 4) * c.element) == c.stored(1)[0][source])
          #expect(read(values + ((head * 16 + 4) * 24 + d) * c.element) == c.stored(2)[0][source])
        }
      }
    }
  }
}

@Suite struct BundledStoreKernelTests {
  @Test(
    "kv_store of few bits: nearest multiples of a scale a token, in bundles of 32 elements",
    arguments: [ANGEL_Q8_0.rawValue, ANGEL_Q4_0.rawValue], [64, 256, 80, 23])
  func bundles(_ cache: UInt8, _ headSize: Int) throws {
    let c = AttentionCase(
      heads: 2, keyValueHeads: 2, headSize: headSize, cache: angel_dtype(rawValue: cache), lengths: [37, 5])
    let head = try #require(BundledHead(c.cache))
    var numbers = [c.stored(1).flatMap { $0 }, c.stored(2).flatMap { $0 }]
    // What is nothing, not finite, beyond a float16 scale, and below one.
    let width = 2 * headSize
    for index in 0..<headSize { numbers[0][3 * width + index] = 0 }
    numbers[0][4 * width] = .infinity
    numbers[1][5 * width + headSize - 1] = .nan
    numbers[1][6 * width] = 3e38
    for index in 0..<headSize { numbers[1][7 * width + index] *= 1e-9 }
    // Block tables in order: position p of all rows is theirs.
    let count = 42
    let blocks = 3
    let bytes = blocks * c.layerBytes
    var expected = [UInt8](repeating: .max, count: bytes)
    for (which, all) in numbers.enumerated() {
      for place in 0..<2 * count {
        let (position, kvHead) = place.quotientAndRemainder(dividingBy: 2)
        let start = position / 16 * c.layerBytes + (which * 2 + kvHead) * c.headBytes
        head.write(
          Array(all[place * headSize..<(place + 1) * headSize]), slot: position % 16, isValues: which == 1,
          into: &expected[start..<start + c.headBytes])
      }
    }
    TestMemory.scope { memory in
      for set in supportedSets {
        for parts in testedParts {
          let arena = memory.room(bytes, of: UInt8.max)
          let arguments = angel_kv_store_arguments(
            keys: memory.copy(numbers[0]), values: memory.copy(numbers[1]),
            cache: angel_paged_cache(
              arena: UnsafeMutableRawPointer(arena).assumingMemoryBound(to: CChar.self),
              block_table: memory.copy((0..<blocks).map { Int64($0 * c.layerBytes) }),
              row_sequences: memory.copy([Int32](repeating: 0, count: count)),
              row_positions: memory.copy((0..<count).map { Int32($0) }), blocks_per_sequence: Int64(blocks),
              layer_offset: 0, kv_heads: 2, head_size: Int64(headSize)), rows: Int64(count))
          let kernel = angel_kernel_lookup_for(set, ANGEL_FAMILY_kv_store, ANGEL_F32, c.cache, ANGEL_NO_DTYPE)
          launch(kernel, arguments, parts: parts)
          #expect(array(arena, bytes) == expected, "\(set) in \(parts) parts")
        }
      }
    }
  }
}

@Suite struct AttentionKernelTests {
  static let cases: [String: AttentionCase] = [
    "float32 cache": AttentionCase(cache: ANGEL_F32, lengths: [61]),
    "float16 cache": AttentionCase(lengths: [61]),
    "bfloat16 cache": AttentionCase(cache: ANGEL_BF16, lengths: [61]),
    "one head each": AttentionCase(heads: 3, keyValueHeads: 3, headSize: 32, lengths: [40]),
    "many heads on one": AttentionCase(heads: 40, keyValueHeads: 1, headSize: 16, lengths: [40]),
    "three to one": AttentionCase(heads: 9, keyValueHeads: 3, lengths: [50]),
    "wide heads": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 256, lengths: [35]),
    "odd head size": AttentionCase(heads: 4, keyValueHeads: 2, headSize: 23, lengths: [45]),
    "odd head size, float32": AttentionCase(heads: 4, keyValueHeads: 2, headSize: 23, cache: ANGEL_F32, lengths: [45]),
    "a strip cut short": AttentionCase(heads: 7, keyValueHeads: 1, headSize: 48, lengths: [75]),
    "head size beyond a conversion": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 300, lengths: [70]),
    "head size 80": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 80, cache: ANGEL_BF16, lengths: [45]),
    "soft cap": AttentionCase(softcap: 3, lengths: [61]),
    "window inside a block": AttentionCase(window: 5, lengths: [70]),
    "window of blocks": AttentionCase(window: 33, lengths: [120]),
    "two splits": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 16, lengths: [274]),
    "five splits": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 16, lengths: [1100]),
    "window over a split": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 16, window: 300, lengths: [610]),
    "window of groups": AttentionCase(heads: 3, keyValueHeads: 1, headSize: 16, window: 128, lengths: [330]),
    "two sequences": AttentionCase(lengths: [47, 90]),
    "8 bits": AttentionCase(cache: ANGEL_Q8_0, lengths: [61]),
    "4 bits": AttentionCase(cache: ANGEL_Q4_0, lengths: [61]),
    "8 bits, one head each": AttentionCase(
      heads: 3, keyValueHeads: 3, headSize: 32, cache: ANGEL_Q8_0, lengths: [140]),
    "4 bits, one head each": AttentionCase(
      heads: 3, keyValueHeads: 3, headSize: 128, cache: ANGEL_Q4_0, lengths: [140]),
    "8 bits, a bundle cut short": AttentionCase(
      heads: 4, keyValueHeads: 2, headSize: 23, cache: ANGEL_Q8_0, lengths: [45]),
    "4 bits, a bundle cut short": AttentionCase(
      heads: 2, keyValueHeads: 1, headSize: 80, cache: ANGEL_Q4_0, lengths: [145]),
    "8 bits, head size beyond a conversion": AttentionCase(
      heads: 2, keyValueHeads: 1, headSize: 300, cache: ANGEL_Q8_0, lengths: [70]),
    "4 bits, wide heads": AttentionCase(heads: 2, keyValueHeads: 1, headSize: 256, cache: ANGEL_Q4_0, lengths: [135]),
    "8 bits, soft cap": AttentionCase(cache: ANGEL_Q8_0, softcap: 3, lengths: [61]),
    "4 bits, window": AttentionCase(cache: ANGEL_Q4_0, window: 33, lengths: [120]),
    "8 bits, window over a split": AttentionCase(
      heads: 2, keyValueHeads: 1, headSize: 32, cache: ANGEL_Q8_0, window: 300, lengths: [610]),
    "4 bits, five splits": AttentionCase(
      heads: 2, keyValueHeads: 1, headSize: 32, cache: ANGEL_Q4_0, lengths: [1100]),
    "8 bits, many heads on one": AttentionCase(
      heads: 40, keyValueHeads: 1, headSize: 32, cache: ANGEL_Q8_0, lengths: [140]),
  ]

  /// The last rows of every sequence, and some from the middle.
  private func rows(_ c: AttentionCase) -> [AttentionRow] {
    c.lengths.enumerated().flatMap { sequence, length in
      let positions = [0, 1, 15, 16, length / 2] + Array(max(0, length - 20)..<length)
      return positions.map { AttentionRow(sequence: Int32(sequence), position: Int32($0)) }
    }
  }

  @Test("paged_attention equals its definition in float64, on every instruction set", arguments: cases.keys.sorted())
  func definition(_ name: String) throws {
    let c = try #require(Self.cases[name])
    let rows = rows(c)
    let output: [Float] = TestMemory.scope { memory in
      let arena = c.filled(memory).arena
      return everyVariant(ANGEL_FAMILY_paged_attention, ANGEL_F32, c.cache) { run in
        c.attended(rows, memory, arena, run: run)
      }
    }
    let width = c.heads * c.headSize
    for index in [0, 2, 4, rows.count - 20, rows.count - 1] {
      let row = output[index * width..<(index + 1) * width]
      let worst = zip(row, c.expected(rows[index])).map { abs(Double($0) - $1) }.max()
      #expect(worst ?? 9 < 4e-6, "row \(index)")
    }
  }

  @Test("Prefill equals decode bit for bit", arguments: [Int32(0), 100, 600])
  func batchSizes(_ window: Int32) {
    var c = AttentionCase(heads: 3, keyValueHeads: 1, headSize: 32, window: window, lengths: [1023])
    for cache in [ANGEL_F32, ANGEL_F16, ANGEL_BF16, ANGEL_Q8_0, ANGEL_Q4_0] {
      c.cache = cache
      // 512 rows on both sides of two split boundaries.
      let rows = (Int32(300)..<812).map { AttentionRow(sequence: 0, position: $0) }
      let alone = c.attended(rows, batch: 1)
      #expect(alone.allSatisfy { $0.isFinite })
      for batch in [2, 7, 32, 512] { #expect(c.attended(rows, batch: batch) == alone, "\(batch) rows") }
    }
  }

  @Test("Neighbours of other sequences change nothing")
  func mixedBatches() {
    let c = AttentionCase(heads: 6, keyValueHeads: 2, headSize: 48, lengths: [530, 90, 1100])
    var rows = (Int32(0)..<30).map { AttentionRow(sequence: 2, position: 1060 + $0) }
    rows += (Int32(0)..<30).map { AttentionRow(sequence: 0, position: 505 + $0 % 25) }
    rows += [Int32(0), 1, 0, 2, 1, 1].map { AttentionRow(sequence: $0, position: 89) }
    #expect(c.attended(rows, batch: rows.count) == c.attended(rows, batch: 1))
  }

  @Test(
    "Tokens never written, or before the window, do not reach the result",
    arguments: [ANGEL_F16.rawValue, ANGEL_Q8_0.rawValue, ANGEL_Q4_0.rawValue])
  func unread(_ cache: UInt8) {
    // What was never written is NaN already; block 0 becomes NaN too, and the window begins at position 41.
    let c = AttentionCase(cache: angel_dtype(rawValue: cache), window: 20, lengths: [64])
    let row = [AttentionRow(sequence: 0, position: 60)]
    let kernel = angel_kernel_lookup(ANGEL_FAMILY_paged_attention, ANGEL_F32, c.cache, ANGEL_NO_DTYPE)
    TestMemory.scope { memory in
      let arena = c.filled(memory).arena
      let before = c.attended(row, memory, arena) { launch(kernel, $0) }
      let first = Int(c.blockTable[0])
      for index in first..<first + c.blockBytes { arena[index] = UInt8.max }
      #expect(before.allSatisfy { $0.isFinite })
      #expect(c.attended(row, memory, arena) { launch(kernel, $0) } == before)
    }
  }

  @Test(
    "Parts share few rows by splits of positions, with the bits of one part", arguments: [Int32(0), 300],
    [ANGEL_F16.rawValue, ANGEL_Q4_0.rawValue])
  func sharedRows(_ window: Int32, _ cache: UInt8) {
    let c = AttentionCase(
      heads: 9, keyValueHeads: 3, headSize: 32, cache: angel_dtype(rawValue: cache), window: window,
      lengths: [1100, 270])
    var rows = [Int32(1099), 3, 255, 256].map { AttentionRow(sequence: 0, position: $0) }
    rows += [Int32(268), 269].map { AttentionRow(sequence: 1, position: $0) }
    let alone = c.attended(rows, batch: 1)
    for batch in [1, 2, rows.count] { #expect(c.attended(rows, batch: batch, shared: true) == alone) }
    TestMemory.scope { memory in
      let arena = c.filled(memory).arena
      for set in supportedSets {
        let kernel = angel_kernel_lookup_for(set, ANGEL_FAMILY_paged_attention, ANGEL_F32, c.cache, ANGEL_NO_DTYPE)
        for parts in [Int32(1), 2, 5, 40] {
          // The last part first: whoever finishes a row's last split merges it.
          let output = c.attended(rows, memory, arena, shared: true) { arguments in
            withUnsafePointer(to: arguments) { for part in (0..<parts).reversed() { kernel?($0, part, parts) } }
          }
          #expect(output == alone, "\(parts) parts")
        }
      }
    }
  }

  @Test(
    "Sequences with a common beginning read it together, with the bits of each alone",
    arguments: [Int32(0), 300], [0, 256, 512])
  func commonBeginnings(_ window: Int32, _ common: Int) {
    var c = AttentionCase(heads: 6, keyValueHeads: 2, headSize: 32, window: window)
    c.lengths = [700, 530, 1000, 513, 560, 600, 555] + Array(repeating: 540, count: 13)
    c.common = common
    // One row of each, beside several of one sequence, one that ends inside what is common, and one of another sequence.
    var rows = (0..<20).map { AttentionRow(sequence: Int32($0), position: Int32(c.lengths[$0] - 1)) }
    rows[3].position = 300
    rows.insert(contentsOf: (Int32(520)..<525).map { AttentionRow(sequence: 4, position: $0) }, at: 9)
    for cache in [ANGEL_F32, ANGEL_F16, ANGEL_Q8_0, ANGEL_Q4_0] {
      c.cache = cache
      let alone = c.attended(rows, batch: 1)
      #expect(alone.allSatisfy { $0.isFinite })
      for batch in [2, 9, rows.count] {
        #expect(c.attended(rows, batch: batch) == alone, "\(batch) rows")
        #expect(c.attended(rows, batch: batch, shared: true) == alone, "\(batch) rows in parts")
      }
      TestMemory.scope { memory in
        let arena = c.filled(memory).arena
        for set in supportedSets {
          let kernel = angel_kernel_lookup_for(set, ANGEL_FAMILY_paged_attention, ANGEL_F32, cache, ANGEL_NO_DTYPE)
          for (parts, shared) in [(Int32(1), false), (3, false), (7, true)] {
            let output = c.attended(rows, memory, arena, shared: shared) { launch(kernel, $0, parts: parts) }
            #expect(output == alone, "\(parts) parts")
          }
        }
      }
    }
  }

  @Test("Two parts of one decoded row cost the same")
  func decodeParts() {
    let c = AttentionCase(heads: 9, keyValueHeads: 3, headSize: 16, lengths: [1024])
    let kernel = angel_kernel_lookup(ANGEL_FAMILY_paged_attention, ANGEL_F32, c.cache, ANGEL_NO_DTYPE)
    TestMemory.scope { memory in
      let arena = c.filled(memory).arena
      // Four splits of each of three kv heads: six for each part, so that kv head 1 is finished by either.
      let written = (Int32(0)..<2).map { part in
        var partials: [Float] = []
        let row = [AttentionRow(sequence: 0, position: 1023)]
        _ = c.attended(row, memory, arena, shared: true) { arguments in
          withUnsafePointer(to: arguments) { kernel?($0, part, 2) }
          partials = array(arguments.partials, 9 * 5 * 18)
          arguments.tickets.update(repeating: 0, count: 9)
        }
        return (0..<45).filter { !partials[$0 * 18].isNaN }
      }
      #expect(written[0].count == 18 && written[1].count == 18)
      #expect(Set(written[0]).isDisjoint(with: written[1]))
    }
  }
}
