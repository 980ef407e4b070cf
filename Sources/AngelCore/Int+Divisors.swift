extension Int {
  /// The greatest number that divides both.
  public func greatestCommonDivisor(with other: Int) -> Int {
    other == 0 ? abs(self) : other.greatestCommonDivisor(with: self % other)
  }
}
