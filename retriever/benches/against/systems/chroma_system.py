"""Chroma. On one machine it has no ranking by words: its search with BM25 is of its cloud. So this is its vector search, narrowed to
passages that hold a word of the query, which is what its documentation offers for words in `query`.
"""

import chromadb

from measure import DEPTH, HITS

MOST = 4000


class System:
    def __init__(self, folder):
        settings = chromadb.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(folder, settings=settings)

    def ingest(self, batches, passages):
        collection = self.client.create_collection(
            "passages",
            configuration={"hnsw": {"space": "cosine", "ef_construction": 128, "ef_search": DEPTH, "max_neighbors": 16}},
            embedding_function=None,
        )
        for batch, vectors in batches:
            for start in range(0, len(batch), MOST):
                part = batch[start : start + MOST]
                collection.add(
                    ids=[str(one["id"]) for one in part],
                    documents=[one["text"] for one in part],
                    metadatas=[{name: one[name] for name in ("half", "hundredth", "rare")} for one in part],
                    embeddings=vectors[start : start + MOST],
                )

    def open(self):
        self.collection = self.client.get_collection("passages", embedding_function=None)

    def hybrid(self, text, vector, narrowing):
        words = [{"$contains": word} for word in text.split()]
        found = self.collection.query(
            query_embeddings=[vector],
            n_results=HITS,
            where={narrowing[0]: narrowing[1]} if narrowing else None,
            where_document={"$or": words} if len(words) > 1 else words[0],
            include=["documents", "distances"],
        )
        return found["documents"][0]

    def nearest(self, vector):
        found = self.collection.query(query_embeddings=[vector], n_results=DEPTH, include=[])
        return [int(one) for one in found["ids"][0]]
