import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import Glibc
import Testing

@testable import AngelPTM

@Suite("Learning from a teacher") struct DistillationTests {
  @Test("the divergence and its gradient are those of the formula in float64")
  func divergence() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 24), threadCount: 1)
    let (rows, vocabulary) = (3, 5)
    let logits = (0..<15).map { Float($0 * 7 % 11) / 3 - 1 }
    let scores = (0..<15).map { Float($0 * 5 % 13) / 4 - 1 }
    let weights: [Float] = [0.5, 0, 2]
    func softmax(_ row: ArraySlice<Float>) -> [Double] {
      let exps = row.map { exp(Double($0)) }
      return exps.map { $0 / exps.reduce(0, +) }
    }
    var (want, slopes) = (0.0, [Double]())
    for row in 0..<rows {
      let range = row * vocabulary..<(row + 1) * vocabulary
      let (p, q) = (softmax(scores[range]), softmax(logits[range]))
      want += Double(weights[row]) * zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
      slopes += zip(p, q).map { Double(weights[row]) * ($1 - $0) }
    }
    let leaf = Tensor(logits, shape: [rows, vocabulary], on: backend).asLeaf()
    let target = Tensor(scores, shape: [rows, vocabulary], on: backend).softmax()
    let result = Distillation.divergence(leaf, target, weights: Tensor(weights, on: backend))
    let gradient = try #require(try result.backward()[leaf]).read(as: Float.self)
    let got = Double(try result.detached.read(as: Float.self)[0])
    #expect(abs(got - want) < 1e-5 * want)
    for (got, slope) in zip(gradient, slopes) { #expect(abs(Double(got) - slope) < 1e-6) }
  }

  @Test("a model that is its own teacher has nothing to learn; another learns from one that knows")
  func runs() throws {
    let teacher = TinyRun(try TemporaryFolder())
    try teacher.execute(
      try teacher.recipe(["tokenizer=byte", "training.steps=60", "output.folder=\(teacher.folder("t"))"]))
    let path = try #require(teacher.finishedPath)
    let distill = ["stage=distill", "distill.teacher=\(path)", "distill.weight=1", "distill.texts=true"]
    let own = TinyRun(teacher.folder)
    try own.execute(
      try own.recipe(
        distill + [
          "architecture=null", "tokenizer=null", "model=\(path)", "training.steps=2", "optimizer.learning_rate=0",
          "output.folder=\(teacher.folder("own"))",
        ]))
    #expect(own.losses.allSatisfy { abs($0) < 1e-5 }, "\(own.losses)")

    let pupil = TinyRun(teacher.folder)
    try pupil.execute(
      try pupil.recipe(
        distill + [
          "tokenizer=\(path)", "training.steps=60", "distill.temperature=2", "output.folder=\(teacher.folder("pupil"))",
        ]))
    #expect(pupil.losses[59] < 0.7 * pupil.losses[0], "\(pupil.losses[0]) to \(pupil.losses[59])")
    // The data's own loss falls with it, though only the teacher was seen.
    let last = try #require(pupil.validations.last)
    #expect(last < 0.8 * pupil.validations[0])
  }

  @Test("a teacher with another tokenizer, and a stage without a teacher, are refused")
  func refusals() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=1", "output.folder=\(run.folder("t"))"]))
    let path = try #require(run.finishedPath)
    let error = #expect(throws: PTMError.self) {
      try run.execute(
        try run.recipe([
          "stage=distill", "distill.teacher=\(path)", "distill.texts=true", "tokenizer=byte",
          "output.folder=\(run.folder("x"))",
        ]))
    }
    #expect(error?.description.contains("has another tokenizer than the model") == true)
    let missing = #expect(throws: ConfigurationError.self) { try run.recipe(["stage=distill"]) }
    #expect(missing?.problems.first == "stage distill needs a distill.teacher")
  }
}
