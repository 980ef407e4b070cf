import AngelCPU
import AngelMemory
import AngelTensor
import Testing

@Suite("How layers lie in cache blocks")
struct CacheGeometryTests {
  private func geometry(_ windows: [Int]) -> CacheGeometry {
    CacheGeometry(layerCount: windows.count, keyValueHeadCount: 1, headSize: 4, windows: windows)
  }

  @Test("layers that all see alike share one block")
  func alike() {
    let plain = CacheGeometry(layerCount: 3, keyValueHeadCount: 2, headSize: 4)
    #expect(plain.tableCount == 1 && plain.window == 0 && plain.layersPerBlock == 3)
    #expect((0..<3).allSatisfy { plain.place(of: $0) == (0, $0) })
    #expect(plain.blockBytes(.float16) == 3 * 2 * 2 * 4 * 16 * 2)
    // Of few bits, in whole bundles of 32 elements: scales of two bytes beside 32, or 16, of quants.
    #expect(plain.blockBytes(.q8_0) == 3 * 2 * 2 * 16 * 34 && plain.blockBytes(.q4_0) == 3 * 2 * 2 * 16 * 18)
    let wide = CacheGeometry(layerCount: 1, keyValueHeadCount: 1, headSize: 80)
    #expect(wide.blockBytes(.q8_0) == 2 * 3 * 16 * 34 && wide.blockBytes(.bfloat16) == 2 * 80 * 16 * 2)
    let windowed = geometry([7, 9, 7])
    #expect(windowed.tableCount == 1 && windowed.window == 9 && windowed.localWindow == 0)
  }

  @Test("windowed layers beside others have tables of their own, in blocks of the same size")
  func mixed() {
    // Gemma 3: every sixth layer sees all.
    let gemma = geometry((1...18).map { $0 % 6 == 0 ? 0 : 512 })
    #expect(gemma.tableCount == 6 && gemma.layersPerBlock == 3 && gemma.window == 0 && gemma.localWindow == 512)
    #expect(gemma.place(of: 5) == (0, 0) && gemma.place(of: 17) == (0, 2))
    #expect(gemma.place(of: 0) == (1, 0) && gemma.place(of: 3) == (2, 0) && gemma.place(of: 16) == (5, 2))
    let places = Set((0..<18).map { gemma.place(of: $0).table * 3 + gemma.place(of: $0).index })
    #expect(places == Set(0..<18))
    #expect(gemma.spanBytes(.float16) == 18 * gemma.layerBytes(.float16))
    // Five windowed layers in blocks of two leave one place empty.
    #expect(geometry([0, 8, 8, 0, 8, 8, 8]).spanBytes(.float32) == 8 * gemma.layerBytes(.float32))
  }

  @Test("parts share a row's positions where rows and heads alone would leave them unequal")
  func sharedPositions() throws {
    let geometry = CacheGeometry(layerCount: 1, keyValueHeadCount: 3, headSize: 64)
    func shares(_ rows: Int, _ backend: any Backend) -> Bool {
      PagedCache.sharesPositions(rows: rows, geometry, on: backend)
    }
    let two = try CPUBackend(pool: PagePool(budget: 16 << 20), threadCount: 2)
    #expect(shares(1, two) && shares(2, two) && !shares(3, two))
    // One part shares nothing, and without a machine there is room for both ways.
    #expect(!shares(1, try CPUBackend(pool: PagePool(budget: 16 << 20), threadCount: 1)))
    #expect(shares(16, ShapesBackend()) && !shares(17, ShapesBackend()))
  }

  @Test("few windowed layers stay with the others")
  func few() {
    let geometry = geometry([0, 0, 8])
    #expect(geometry.tableCount == 1 && geometry.window == 0 && geometry.localWindow == 0)
  }
}
