"""The pipeline's hops as five bare programs: asyncpg, one CTE statement a batch, aiohttp, orjson.

What makes it durable is kept: acks=all, an inbox against copies, an outbox written with the effect, offsets committed
after it. What Zhida does beside (contracts, masking, the vault, signatures, versions, fences, traces, metrics, the HTTP
interface) is left out.
"""
