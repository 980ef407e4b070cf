/// An error whose description is the one line a user reads: the thing, the value and the remedy.
///
/// Each module has one enum that conforms; the command line prints `error: <description>` and exits with 1.
public protocol DescribedError: Error, CustomStringConvertible, Sendable {}
