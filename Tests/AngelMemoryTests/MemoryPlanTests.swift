import AngelCore
import AngelMemory
import Testing

@Suite("Memory plan and sizes in words")
struct MemoryPlanTests {
  @Test(
    "sizes are read as people write them",
    arguments: [
      ("4096", 4096), ("512 B", 512), ("12GiB", 12 << 30), ("1.5 mib", 3 << 19), ("2g", 2 << 30), ("0.5k", 512),
    ])
  func parse(text: String, byteCount: Int) throws { #expect(try MemoryFormat.byteCount(of: text) == byteCount) }

  @Test("unreadable sizes are refused", arguments: ["", "GiB", "12XB", "-1", "1e3", "1..2", "99999999999TiB", "१GiB"])
  func refused(text: String) {
    #expect(throws: MemoryError.unreadableSize(text)) { try MemoryFormat.byteCount(of: text) }
  }

  private var plan: MemoryPlan {
    var plan = MemoryPlan(budget: 1 << 30)
    plan.add(.weights, "Q4_1", byteCount: 96 << 20)
    plan.add(.keyValueCache, "4,096 tokens", byteCount: 90 << 20)
    plan.add(.workspace, byteCount: 6 << 20)
    return plan
  }

  @Test("a plan sums, compares with its budget and names the largest part when it does not fit")
  func sums() throws {
    var plan = self.plan
    #expect(plan.total == 192 << 20 && plan.fits && plan.headroom == 832 << 20)
    #expect(plan[.weights] == 96 << 20 && plan[.activations] == 0)
    try plan.check()
    plan.budget = 100 << 20
    #expect(!plan.fits)
    #expect(
      throws: MemoryError.overBudget(
        planned: 192 << 20, budget: 100 << 20, largest: "weights", largestByteCount: 96 << 20)
    ) { try plan.check() }
    plan.add(.weights, byteCount: .max)
    #expect(plan.total == .max)
  }

  @Test("the table is aligned")
  func table() {
    #expect(
      plan.description == """
        weights           96.0 MiB   50 %  Q4_1
        key-value cache   90.0 MiB   47 %  4,096 tokens
        workspace          6.0 MiB    3 %
        total            192.0 MiB  100 %  fits
        budget             1.0 GiB
        """)
  }

  @Test("the JSON form has bytes, total, budget and whether it fits")
  func json() {
    let json = plan.json
    #expect(json["total_bytes"] == 201_326_592 && json["budget_bytes"] == 1_073_741_824 && json["fits"] == true)
    #expect(json["entries"]?.array?[1] == ["kind": "kv_cache", "detail": "4,096 tokens", "bytes": 94_371_840])
  }
}
