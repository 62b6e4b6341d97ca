"""Haystack: its in-memory document store, BM25 and vector retrievers in a pipeline, joined by reciprocal rank fusion.

It keeps nothing on disk but a dump in JSON, so it ingests and serves in one process and has no start-up of its own.
"""

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from measure import DEPTH, HITS


class System:
    def __init__(self, folder):
        self.store = InMemoryDocumentStore(embedding_similarity_function="cosine", return_embedding=False)

    def ingest(self, batches, passages):
        for batch, vectors in batches:
            self.store.write_documents(
                [
                    Document(
                        id=str(one["id"]),
                        content=one["text"],
                        embedding=vector.tolist(),
                        meta={name: one[name] for name in ("half", "hundredth", "rare")},
                    )
                    for one, vector in zip(batch, vectors)
                ]
            )

    def open(self):
        pipeline = Pipeline()
        pipeline.add_component("words", InMemoryBM25Retriever(self.store, top_k=DEPTH))
        pipeline.add_component("vectors", InMemoryEmbeddingRetriever(self.store, top_k=DEPTH))
        pipeline.add_component("joined", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=HITS))
        pipeline.connect("words", "joined")
        pipeline.connect("vectors", "joined")
        self.pipeline = pipeline

    def hybrid(self, text, vector, narrowing):
        filters = None
        if narrowing:
            filters = {"field": f"meta.{narrowing[0]}", "operator": "==", "value": narrowing[1]}
        found = self.pipeline.run(
            {
                "words": {"query": text, "filters": filters},
                "vectors": {"query_embedding": vector.tolist(), "filters": filters},
            }
        )
        return [one.content for one in found["joined"]["documents"]]

    def nearest(self, vector):
        found = self.store.embedding_retrieval(query_embedding=vector.tolist(), top_k=DEPTH)
        return [int(one.id) for one in found]
