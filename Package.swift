// swift-tools-version: 6.2
// The house: targets strictly layered, a target imports only lower rows (Documentation/Architecture.md).
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("ExistentialAny"),
]

/// A C library linked from its static archive, so that the binary needs nothing installed where it runs.
func archive(_ name: String) -> LinkerSetting { .linkedLibrary(":lib\(name).a", .when(platforms: [.linux])) }

func room(_ name: String, _ dependencies: [Target.Dependency], linking: [LinkerSetting] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict, linkerSettings: linking)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: name + "Tests",
    dependencies: [.byName(name: name), "AngelTesting"] + (name == "AngelCore" ? [] : ["AngelCore"]) + dependencies,
    swiftSettings: strict)
}

let package = Package(
  name: "angel",
  products: [
    .executable(name: "angel", targets: ["angel"]),
    .library(
      name: "Angel",
      targets: ["AngelModels", "AngelHCF", "AngelCPU", "AngelCheckpoint", "AngelNN", "AngelTensor", "AngelText"]),
  ],
  targets: [
    // Level 0: C and system libraries.
    .target(name: "CAngelKernels", cSettings: [.unsafeFlags(["-O3", "-ffp-contract=off", "-fno-math-errno"])]),
    .target(name: "CAngelShims"),
    .systemLibrary(name: "CPCRE2", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(name: "CUTF8Proc", providers: [.apt(["libutf8proc-dev"])]),
    .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
    // Level 1
    // The static Swift run time needs libm, which the C compiler driver does not add by itself.
    room("AngelCore", ["CYAML"], linking: [.linkedLibrary("m"), archive("yaml")]),
    // Level 2
    room("AngelMemory", ["AngelCore", "CAngelShims"]),
    room("AngelGrammar", ["AngelCore"]),
    room("AngelText", ["AngelCore", "CPCRE2", "CUTF8Proc"], linking: [archive("pcre2-8"), archive("utf8proc")]),
    // Level 3
    room("AngelTensor", ["AngelCore", "AngelMemory", "CAngelKernels"]),
    // Level 4
    room("AngelCPU", ["AngelCore", "AngelMemory", "AngelTensor", "CAngelKernels"]),
    room("AngelNN", ["AngelCore", "AngelTensor"]),
    // Level 5
    room(
      "AngelCheckpoint",
      ["AngelCore", "AngelMemory", "AngelText", "AngelTensor", "AngelNN", "CSodium", "CZlib", "CAngelShims"],
      linking: [archive("sodium"), archive("z")]),
    .target(
      name: "AngelDistributed", dependencies: ["AngelCore", "AngelNN", "AngelTensor", "CAngelKernels", "CAngelShims"],
      resources: [.embedInCode("MPI/mpi_plugin.c")], swiftSettings: strict),
    room("AngelData", ["AngelCore", "AngelText", "CZlib", "CZstd"], linking: [archive("z"), archive("zstd")]),
    // Level 6
    room("AngelModels", ["AngelCore", "AngelText", "AngelTensor", "AngelNN", "AngelCheckpoint"]),
    // Level 7
    room(
      "AngelHCF",
      [
        "AngelCore", "AngelGrammar", "AngelMemory", "AngelText", "AngelTensor", "AngelNN", "AngelCheckpoint",
        "AngelModels",
      ]),
    room(
      "AngelPTM",
      [
        "AngelCore", "AngelText", "AngelTensor", "AngelNN", "AngelCheckpoint", "AngelData", "AngelDistributed",
        "AngelModels",
      ]),
    // Level 8
    room("AngelServer", ["AngelCore", "AngelGrammar", "AngelText", "AngelHCF", "CSodium", "CAngelShims"]),
    // Level 11
    .executableTarget(
      name: "angel",
      dependencies: [
        "AngelCore", "AngelGrammar", "AngelMemory", "AngelText", "AngelTensor", "AngelCPU", "AngelNN",
        "AngelCheckpoint", "AngelModels", "AngelHCF", "AngelPTM", "AngelData", "AngelDistributed", "AngelServer",
        "CAngelKernels",
      ], swiftSettings: strict),
    // Tests and their kit
    room("AngelTesting", ["AngelCore", "AngelTensor"]),
    tests("AngelCore"),
    tests("angel", ["AngelCheckpoint", "AngelDistributed", "AngelPTM", "AngelServer"]),
    tests("AngelGrammar"),
    tests("AngelMemory"),
    tests("AngelText"),
    tests("AngelTensor", ["AngelMemory", "AngelCPU", "CAngelKernels"]),
    tests("AngelCPU", ["AngelTensor", "CAngelKernels"]),
    tests("AngelCheckpoint", ["AngelTensor", "AngelText"]),
    tests("AngelData", ["AngelText"]),
    tests("AngelDistributed", ["AngelTensor", "AngelNN"]),
    tests("AngelModels", ["AngelText", "AngelTensor", "AngelCPU", "AngelNN", "AngelCheckpoint", "AngelHCF"]),
    tests(
      "AngelPTM",
      [
        "AngelTensor", "AngelCPU", "AngelNN", "AngelCheckpoint", "AngelData", "AngelDistributed", "AngelModels",
        "AngelText",
      ]),
    tests("AngelServer", ["AngelGrammar", "AngelText", "AngelCPU", "AngelHCF", "AngelCheckpoint"]),
    tests(
      "AngelHCF",
      [
        "AngelGrammar", "AngelMemory", "AngelTensor", "AngelCPU", "AngelNN", "AngelCheckpoint", "AngelModels",
        "AngelText", "CAngelKernels",
      ]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu2x
)
