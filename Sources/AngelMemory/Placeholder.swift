public enum MemoryKind: Sendable, Hashable, CaseIterable { case weights, keyValueCache, activations, workspace }
