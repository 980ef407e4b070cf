/// What is wrong with a configuration: one line a problem, each with the place, the value and the remedy.
public struct ConfigurationError: DescribedError, Equatable {
  public var problems: [String]

  public init(problems: [String]) { self.problems = problems }

  public init(_ problem: String) { problems = [problem] }

  public var description: String { problems.joined(separator: "\n") }
}
