import Testing

@testable import AngelMemory

@Suite("Machine memory")
struct MachineMemoryTests {
  @Test("MemAvailable is read in kibibytes")
  func meminfo() {
    let text = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:   20000000 kB\n"
    #expect(MachineMemory.availableBytes(inMeminfo: text) == 20_480_000_000)
    #expect(MachineMemory.availableBytes(inMeminfo: "MemTotal: 5 kB\n") == nil)
    #expect(MachineMemory.availableBytes(inMeminfo: "MemAvailable: 99999999999999999999 kB") == nil)
    #expect(MachineMemory.availableBytes(inMeminfo: "MemAvailable:") == nil)
  }

  @Test("the tightest control group counts, also one far above")
  func unified() {
    let files = [
      "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "1000\n",
      "/sys/fs/cgroup/a/memory.current": "400\n", "/sys/fs/cgroup/memory.max": "5000\n",
    ]
    #expect(ControlGroups.room(membership: "0::/a/b\n") { files[$0] } == 600)
    #expect(ControlGroups.room(membership: "0::/\n") { files[$0] } == 5000)
    #expect(ControlGroups.room(membership: "0::/x\n") { _ in nil } == nil)
    #expect(ControlGroups.room(membership: "nonsense") { files[$0] } == nil)
  }

  @Test("version 1 groups are read, and their unlimited is no limit")
  func versionOne() {
    let files = [
      "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": "8000\n",
      "/sys/fs/cgroup/memory/job/memory.usage_in_bytes": "9000\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    ]
    #expect(ControlGroups.room(membership: "4:cpu:/job\n9:memory,hugetlb:/job\n") { files[$0] } == 0)
    #expect(ControlGroups.room(membership: "9:memory:/\n") { files[$0] } == nil)
  }

  @Test("the default budget is four fifths of the tighter bound, in whole pages")
  func budget() {
    let memory = MachineMemory(available: 100 << 30, controlGroupRoom: 10 << 30)
    #expect(memory.usable == 10 << 30 && memory.defaultBudget == 8 << 30)
    #expect(MachineMemory(available: 0, controlGroupRoom: nil).defaultBudget == Page.byteCount)
    #expect(MachineMemory.current().usable > 0)
  }
}
