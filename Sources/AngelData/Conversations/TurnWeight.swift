import AngelCore

/// What a turn counts in the loss: its `weight` (0 to 1000) or `train` (true or false), else 1 for the assistant's.
enum TurnWeight {
  static let keys = ["weight", "train"]

  static func of(_ turn: JSONObject, role: String, _ place: String) throws(DataError) -> Float {
    if let train = turn["train"], !train.isNull {
      guard let bool = train.bool else { throw .row(place: place, reason: "'train' must be true or false") }
      return bool ? 1 : 0
    }
    guard let weight = turn["weight"], !weight.isNull else { return role == "assistant" ? 1 : 0 }
    guard let number = weight.double, (0...1000).contains(number) else {
      throw .row(place: place, reason: "'weight' must be a number from 0 to 1000")
    }
    return Float(number)
  }
}
