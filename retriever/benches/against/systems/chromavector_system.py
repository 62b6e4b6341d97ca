"""Chroma's vector search alone, with as many candidates as the others: what its users get who leave words out."""

import chroma_system

from measure import DEPTH, HITS


class System(chroma_system.System):
    def hybrid(self, text, vector, narrowing):
        found = self.collection.query(
            query_embeddings=[vector],
            n_results=DEPTH,
            where={narrowing[0]: narrowing[1]} if narrowing else None,
            include=["distances"],
        )
        best = self.collection.get(ids=found["ids"][0][:HITS], include=["documents"])
        return best["documents"]
