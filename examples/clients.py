"""Sort 50 000 client records by what they lack: every record is in exactly one of three lists.

    python examples/clients.py [NUMBER_OF_RECORDS]

    records ─┬─► no e-mail address ─────────────► to ask by post
             └─► e-mail address ─┬─► no telephone ─► to ask by e-mail
                                 └─► telephone ────► complete

Two stages built on the same pipeline are two branches, and each sees every item. The records are read from a JSON file, which the example
writes first.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from olympipe_ng import Pipeline

Client = dict[str, Any]


def write_clients(path: Path, number: int) -> None:
    """Write ``number`` records as people fill in forms: always the same for the same number."""
    chance = random.Random(number)
    clients = [
        {
            "id": index,
            "name": f"Client {index:06d}",
            "email": chance.choice([f" Client{index}@Example.ORG", f"c{index}@example.com", f"client.{index}", "", None]),
            "phone": chance.choice([f"+32 2 {chance.randrange(10**7):07d}", "  ", None, f"04{chance.randrange(10**8):08d}"]),
        }
        for index in range(number)
    ]
    path.write_text(json.dumps(clients), encoding="utf-8")


def read_clients(path: Path) -> list[Client]:
    clients: list[Client] = json.loads(path.read_text(encoding="utf-8"))
    return clients


def tidy(client: Client) -> Client:
    return {**client, "email": (client["email"] or "").strip().lower(), "phone": (client["phone"] or "").replace(" ", "")}


def has_email(client: Client) -> bool:
    name, _, domain = client["email"].partition("@")
    return bool(name) and "." in domain


def has_phone(client: Client) -> bool:
    return bool(client["phone"])


def sort_clients(path: Path) -> tuple[list[Client], list[Client], list[Client]]:
    """Return the records to ask by post, those to ask by e-mail, and the complete ones, each in the order of the file."""
    clients = Pipeline(partial(read_clients, path), name="clients").task(tidy)
    no_email = clients.filter(lambda client: not has_email(client))
    reachable = clients.filter(has_email)
    no_phone, complete = reachable.filter(lambda client: not has_phone(client)), reachable.filter(has_phone)
    post, email, done = Pipeline.wait_for_all_results([no_email, no_phone, complete])
    return post, email, done


def main(number: int = 50_000) -> tuple[list[Client], list[Client], list[Client]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clients.json"
        write_clients(path, number)
        post, email, done = sort_clients(path)
    print(f"{number} clients: {len(post)} to ask by post, {len(email)} to ask by e-mail, {len(done)} complete")
    print(f"in all {len(post) + len(email) + len(done)}: nobody lost, nobody twice")
    return post, email, done


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
