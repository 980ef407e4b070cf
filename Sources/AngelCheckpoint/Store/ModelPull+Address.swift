import AngelCore

extension ModelPull {
  /// Downloads a GGUF file from a URL into the store.
  func pullAddress(_ request: Request) throws -> Result {
    throw StoreError.noCurl
  }
}
