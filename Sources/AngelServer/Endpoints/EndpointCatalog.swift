/// The endpoints in the order the description shows them.
enum EndpointCatalog {
  static let all: [any Endpoint.Type] = [
    ChatCompletionsEndpoint.self,
    CompletionsEndpoint.self,
    EmbeddingsEndpoint.self,
    ResponsesEndpoint.self,
    MessagesEndpoint.self,
    CountTokensEndpoint.self,
    RerankEndpoint.self,
    PlainRerankEndpoint.self,
    OllamaChatEndpoint.self,
    OllamaGenerateEndpoint.self,
    OllamaEmbedEndpoint.self,
    OllamaTagsEndpoint.self,
    OllamaRunningEndpoint.self,
    OllamaShowEndpoint.self,
    OllamaVersionEndpoint.self,
    ModelsEndpoint.self,
    ModelEndpoint.self,
    LoadAdapterEndpoint.self,
    UnloadAdapterEndpoint.self,
    TokenizeEndpoint.self,
    DetokenizeEndpoint.self,
    RootEndpoint.self,
    HealthEndpoint.self,
    ReadyEndpoint.self,
    MetricsEndpoint.self,
    VersionEndpoint.self,
    OpenAPIEndpoint.self,
  ]

  /// The endpoint of a path and what the path has in the place of its braces.
  struct Match {
    let endpoint: any Endpoint.Type
    let argument: String
  }

  /// All endpoints of a path, one for each of its methods.
  static func matches(_ path: String) -> [Match] {
    all.compactMap { endpoint in
      guard let brace = endpoint.path.firstIndex(of: "{") else {
        return endpoint.path == path ? Match(endpoint: endpoint, argument: "") : nil
      }
      let prefix = endpoint.path[..<brace]
      guard path.hasPrefix(prefix), path.count > prefix.count else { return nil }
      return Match(endpoint: endpoint, argument: String(path.dropFirst(prefix.count)))
    }
  }
}
