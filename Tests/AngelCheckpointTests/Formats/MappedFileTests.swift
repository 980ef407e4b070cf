import Testing

@testable import AngelCheckpoint

@Suite struct MappedFileTests {
  @Test("opening a file that is not there names it and says why")
  func missingFile() {
    #expect(throws: CheckpointError.system(operation: "open", path: "/no/such", reason: "No such file or directory")) {
      try MappedFile(path: "/no/such")
    }
  }
}
