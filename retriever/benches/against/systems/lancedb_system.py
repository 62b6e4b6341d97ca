"""LanceDB: its full-text index and its vector index, joined by its RRF reranker, as its documentation of hybrid search says.

Below 100,000 rows its documentation advises against a vector index; above, this is IVF_HNSW_SQ, its index of highest recall.
"""

import lancedb
import pyarrow as pa
from lancedb.rerankers import RRFReranker

from measure import DEPTH, HITS

INDEXED_FROM = 100_000


class System:
    depth = DEPTH

    def __init__(self, folder):
        self.database = lancedb.connect(folder)
        self.reranker = RRFReranker()

    def ingest(self, batches, passages):
        def tables():
            for batch, vectors in batches:
                values = pa.array(vectors.reshape(-1), pa.float32())
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array([one["id"] for one in batch], pa.uint32()),
                        pa.array([one["text"] for one in batch]),
                        pa.array([one["half"] for one in batch], pa.uint32()),
                        pa.array([one["hundredth"] for one in batch], pa.uint32()),
                        pa.array([one["rare"] for one in batch], pa.uint32()),
                        pa.FixedSizeListArray.from_arrays(values, vectors.shape[1]),
                    ],
                    schema=schema,
                )

        numbers = [pa.field(name, pa.uint32()) for name in ("half", "hundredth", "rare")]
        vector = pa.field("vector", pa.list_(pa.float32(), 384))
        schema = pa.schema([pa.field("id", pa.uint32()), pa.field("text", pa.string()), *numbers, vector])
        table = self.database.create_table("passages", tables(), schema=schema)
        table.create_fts_index("text")
        table.create_scalar_index("half", index_type="BITMAP")
        table.create_scalar_index("hundredth", index_type="BITMAP")
        table.create_scalar_index("rare", index_type="BTREE")
        if passages >= INDEXED_FROM:
            table.create_index(metric="cosine", index_type="IVF_HNSW_SQ")

    def open(self):
        self.table = self.database.open_table("passages")

    def hybrid(self, text, vector, narrowing):
        query = self.table.search(query_type="hybrid").vector(vector).text(text)
        query = query.distance_type("cosine").rerank(self.reranker).select(["id", "text"])
        if narrowing:
            query = query.where(f"{narrowing[0]} = {narrowing[1]}", prefilter=True)
        found = query.limit(self.depth).to_arrow().slice(0, HITS)
        return found["text"].to_pylist()

    def nearest(self, vector):
        found = self.table.search(vector, query_type="vector").distance_type("cosine").select(["id", "_distance"]).limit(self.depth)
        return found.to_arrow()["id"].to_pylist()
