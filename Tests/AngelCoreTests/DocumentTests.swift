import AngelTesting
import Testing

/// Documents say what the sources say: what they quote, link and list is looked up.
@Suite("Documents are true")
struct DocumentTests {
  @Test("quoted code is in the file it is quoted from", arguments: SourceTree.documents)
  func quotes(document: String) throws {
    let lines = try SourceTree.lines(document)
    for (index, line) in lines.enumerated() {
      guard line.hasPrefix("<!-- "), line.hasSuffix(" -->") else { continue }
      let words = line.dropFirst(5).dropLast(4).split(separator: " ").map(String.init)
      let isWhole = words.starts(with: ["the", "whole", "of"])
      guard isWhole || words.first == "from", let path = words.last else { continue }
      try #require(index + 1 < lines.count && lines[index + 1].hasPrefix("```"), "\(document): no code after \(line)")
      let code = lines[(index + 2)...].prefix { $0 != "```" }
      let source = try SourceTree.text(path)
      if isWhole { #expect(code.joined(separator: "\n") + "\n" == source, "\(document) quotes \(path)") }
      // A line with an ellipsis stands for lines left out.
      for part in code.split(whereSeparator: { $0.trimmed == "// …" }) {
        #expect(source.contains(part.joined(separator: "\n")), "\(document) quotes \(path)")
      }
    }
  }

  @Test("the README quotes its example and a block of a model")
  func readmeQuotes() throws {
    let readmes = try ["README.md", "README.zh.md"].map { try SourceTree.text($0) }
    for readme in readmes {
      #expect(readme.contains("<!-- the whole of Tests/AngelHCFTests/Examples/Answer.swift -->"))
      #expect(readme.contains("<!-- from Sources/AngelModels/Llama/LlamaModel.swift -->"))
    }
  }

  @Test("relative links lead to files", arguments: SourceTree.documents)
  func links(document: String) throws {
    let folder = document.split(separator: "/").dropLast().joined(separator: "/")
    for part in try SourceTree.text(document).split(separator: "](").dropFirst() {
      let target = part.prefix { $0 != ")" && $0 != "#" && !$0.isWhitespace }
      guard !target.isEmpty, !target.contains("://") else { continue }
      #expect(SourceTree.exists(folder.isEmpty ? String(target) : "\(folder)/\(target)"), "\(document): \(target)")
    }
  }

  @Test("paths in code spans exist", arguments: SourceTree.documents)
  func paths(document: String) throws {
    let folders = ["Sources/", "Tests/", "Scripts/", "Documentation/"]
    let spans = try SourceTree.text(document).split(separator: "`", omittingEmptySubsequences: false)
    for (index, span) in spans.enumerated() where index % 2 == 1 {
      for word in span.split(whereSeparator: \.isWhitespace) where folders.contains(where: word.hasPrefix) {
        // Placeholders and patterns stand for many paths.
        guard !word.contains(where: { "<*{…".contains($0) }) else { continue }
        #expect(SourceTree.exists(String(word)), "\(document): \(word)")
      }
    }
  }

  @Test("the README's module map is the one that is checked", arguments: ["README.md", "README.zh.md"])
  func moduleMap(document: String) throws {
    var rows: [String: String] = [:]
    for line in try SourceTree.lines(document) where line.hasPrefix("| ") {
      let cells = line.split(separator: "|").map { String($0).trimmed }
      guard cells.count == 3 else { continue }
      for module in cells[1].split(separator: " ") where module.hasPrefix("`") {
        rows[module.filter { $0 != "`" }] = cells[0]
      }
    }
    for line in try SourceTree.lines("Scripts/layers.txt") where !line.hasPrefix("#") {
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 2, let level = Int(words[0]), level < 90 else { continue }
      #expect(rows[words[1]] == words[0], "\(words[1])")
    }
  }
}

/// Rules of the house that no compiler checks.
@Suite("Sources follow the rules")
struct SourceRuleTests {
  @Test("every public type has a summary")
  func summaries() throws {
    let kinds = ["class", "struct", "enum", "protocol", "actor"]
    var bare: [String] = []
    for path in SourceTree.files(below: "Sources", ending: ".swift") {
      let lines = try SourceTree.lines(path).map(\.trimmed)
      for (index, line) in lines.enumerated() {
        let words = line.split(separator: " ").map(String.init)
        guard words.first == "public", let kind = words.dropFirst().first(where: { $0 != "final" && $0 != "indirect" }),
          kinds.contains(kind)
        else { continue }
        // Attributes and notes for the reader of the source may stand between.
        let above = lines[..<index].last { !$0.hasPrefix("@") && (!$0.hasPrefix("//") || $0.hasPrefix("///")) }
        if above?.hasPrefix("///") != true { bare.append("\(path):\(index + 1)") }
      }
    }
    #expect(bare == [])
  }

  @Test("every kernel family has a header that states its contract")
  func kernelHeaders() throws {
    let folder = "Sources/CAngelKernels/include/"
    let headers = SourceTree.files(below: "Sources/CAngelKernels/include", ending: ".h")
    let contracts = try headers.flatMap { try SourceTree.lines($0) }.filter { $0.hasPrefix("//") }
    let primitives = try SourceTree.lines(folder + "primitives.h").filter { $0.hasPrefix("//") }
      .flatMap { $0.split(separator: " ").map(String.init) }
    let families = try SourceTree.lines(folder + "families.def")
      .filter { $0.hasPrefix("ANGEL_FAMILY(") }.map { String($0.dropFirst(13).prefix { $0 != ")" }) }
    #expect(families.count >= 30)
    for family in families {
      // Families that belong together share a header, which has a paragraph on each.
      let hasParagraph = contracts.contains { $0.hasPrefix("// \(family):") }
      let isDocumented = headers.contains(folder + family + ".h") || hasParagraph || primitives.contains(family)
      #expect(isDocumented, "\(family)")
    }
  }

  @Test("every kernel header is part of the module")
  func umbrella() throws {
    let umbrella = try SourceTree.text("Sources/CAngelKernels/include/CAngelKernels.h")
    for header in SourceTree.files(below: "Sources/CAngelKernels/include", ending: ".h") {
      let name = String(header.split(separator: "/").last ?? "")
      #expect(name == "CAngelKernels.h" || umbrella.contains("#include \"\(name)\""), "\(name)")
    }
  }
}
