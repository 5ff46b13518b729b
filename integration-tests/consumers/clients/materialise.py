"""Materialises tables from topics in Debezium's form: confluent-kafka reads, its registry client and fastavro decode.

materialise.py BROKERS REGISTRY TOPIC...
Prints {"table": ..., "row": {column: text or null}} per row. What a value means is read from its schema alone.
"""

import json
import struct
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

UNAVAILABLE = "__debezium_unavailable_value"


class Columns:
    """The semantic name of each column, by schema id."""

    def __init__(self, registry):
        self.registry = registry
        self.known = {}

    def of(self, framed):
        number = struct.unpack(">I", framed[1:5])[0]
        if number not in self.known:
            envelope = json.loads(self.registry.get_schema(number).schema_str)
            before = next(field for field in envelope["fields"] if field["name"] == "before")
            row = next(branch for branch in before["type"] if isinstance(branch, dict))
            self.known[number] = {field["name"]: plain(field["type"]) for field in row["fields"]}
        return self.known[number]


def plain(kind):
    """The type in a union with null."""
    if isinstance(kind, list):
        kind = next(branch for branch in kind if branch != "null")
    return kind if isinstance(kind, dict) else {"type": kind}


def microseconds(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def text(value, kind):
    name = kind.get("connect.name")
    if value is None:
        return None
    if name == "io.debezium.time.Date":
        return str(date(1970, 1, 1) + timedelta(days=value))
    if name in ("io.debezium.time.Time", "io.debezium.time.Timestamp"):
        return str(value * 1000)
    if name == "io.debezium.time.ZonedTimestamp":
        return str(microseconds(datetime.fromisoformat(value)))
    if name == "io.debezium.data.VariableScaleDecimal":
        unscaled = int.from_bytes(value["value"], "big", signed=True)
        return format(Decimal(unscaled).scaleb(-value["scale"]), "f")
    if name == "io.debezium.data.geometry.Point":
        return struct.pack(">d", value["x"]).hex() + "," + struct.pack(">d", value["y"]).hex()
    if kind["type"] == "float":
        return struct.pack(">f", value).hex()
    if kind["type"] == "double":
        return struct.pack(">d", value).hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def main(brokers, url, topics):
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "materialise",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    registry = SchemaRegistryClient({"url": url})
    columns = Columns(registry)
    deserialise = AvroDeserializer(registry)
    partitions = [
        TopicPartition(topic, number, OFFSET_BEGINNING)
        for topic in topics
        for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ]
    consumer.assign(partitions)
    tables = {topic: {} for topic in topics}
    left = len(partitions)
    while left:
        message = consumer.poll(30)
        assert message is not None, "nothing for 30 s"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            left -= 1
            continue
        topic = message.topic()
        key = deserialise(message.key(), SerializationContext(topic, MessageField.KEY))
        key = tuple(key.values())
        rows = tables[topic]
        value = deserialise(message.value(), SerializationContext(topic, MessageField.VALUE))
        if value is None or value["op"] == "d":
            rows.pop(key, None)
            continue
        assert value["op"] in "cru", value["op"]
        row = {name: text(value["after"][name], kind) for name, kind in columns.of(message.value()).items()}
        # What an update has not touched and the log does not hold stays as it was.
        for name in row:
            if row[name] == UNAVAILABLE:
                row[name] = rows[key][name]
        rows[key] = row
    for topic, rows in tables.items():
        for row in rows.values():
            print(json.dumps({"table": topic.rsplit(".", 1)[1], "row": row}))


main(sys.argv[1], sys.argv[2], sys.argv[3:])
