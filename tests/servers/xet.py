"""Reads which files lie in hf_xet's own on-disk store, so that a commit can refer to them."""

from pathlib import Path

__all__ = ["xet_hashes"]

ROW, BOOKEND = 48, b"\xff" * 32  # bytes of a shard's row; what ends its file section


def xet_hashes(cas_url: str) -> dict[str, str]:
    """sha256 -> Xet hash, both hexadecimal, from the shards below a "local:///folder" store."""
    found: dict[str, str] = {}
    for shard in Path(cas_url.removeprefix("local://")).rglob("*.mdb"):
        found |= _read_shard(shard.read_bytes())
    return found


def _read_shard(data: bytes) -> dict[str, str]:
    found, at = {}, ROW  # a header of 32 bytes tag, version and footer size comes first
    while at + ROW <= len(data) and data[at : at + 32] != BOOKEND:
        file_hash = data[at : at + 32]
        flags, segments = (int.from_bytes(data[at + offset : at + offset + 4], "little") for offset in (32, 36))
        at += ROW * (1 + segments + (segments if flags >> 31 & 1 else 0))
        if flags >> 30 & 1:  # the metadata row holds the sha256 of the whole file
            found[_hexadecimal(data[at : at + 32])] = _hexadecimal(file_hash)
            at += ROW
    return found


def _hexadecimal(digest: bytes) -> str:
    return "".join(f"{int.from_bytes(digest[start : start + 8], 'little'):016x}" for start in range(0, 32, 8))
