extension LlamaConfiguration {
  /// SmolLM2-135M.
  public static var smolLM2_135M: Self {
    var result = Self()
    result.vocabularySize = 49_152
    result.hiddenSize = 576
    result.layerCount = 30
    result.headCount = 9
    result.keyValueHeadCount = 3
    result.headSize = 64
    result.innerSize = 1536
    result.contextLength = 8192
    result.normEpsilon = 1e-5
    result.rotaryBase = 100_000
    result.tiesEmbeddings = true
    return result
  }

  /// The sizes of Llama 3.2 1B (1.24 billion parameters), without its stretched rotary frequencies.
  public static var llama1B: Self {
    var result = Self()
    result.vocabularySize = 128_256
    result.hiddenSize = 2048
    result.layerCount = 16
    result.headCount = 32
    result.keyValueHeadCount = 8
    result.headSize = 64
    result.innerSize = 8192
    result.contextLength = 131_072
    result.normEpsilon = 1e-5
    result.rotaryBase = 500_000
    result.tiesEmbeddings = true
    return result
  }
}
