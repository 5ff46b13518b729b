// Materialises tables from topics in Debezium's form: Kafka's own consumer reads, the deserialiser of the registry's
// makers decodes.
//
// Materialise.java BROKERS REGISTRY TOPIC...
// Prints {"table": ..., "row": {column: text or null}} per row. What a value means is read from its schema alone.

import com.fasterxml.jackson.databind.ObjectMapper;
import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

public class Materialise {
    static final String UNAVAILABLE = "__debezium_unavailable_value";
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        List<String> topics = List.of(arguments).subList(2, arguments.length);
        Map<String, Map<Object, Map<String, String>>> tables = new LinkedHashMap<>();
        for (String topic : topics) {
            tables.put(topic, new HashMap<>());
        }
        try (KafkaConsumer<GenericRecord, GenericRecord> consumer =
                new KafkaConsumer<>(settings(arguments[0]), deserialiser(arguments[1], true), deserialiser(arguments[1], false))) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : topics) {
                consumer.partitionsFor(topic).forEach(it -> partitions.add(new TopicPartition(topic, it.partition())));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                for (ConsumerRecord<GenericRecord, GenericRecord> record : consumer.poll(Duration.ofSeconds(1))) {
                    apply(tables.get(record.topic()), record);
                }
            }
        }
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (var table : tables.entrySet()) {
            String name = table.getKey().substring(table.getKey().lastIndexOf('.') + 1);
            for (var row : table.getValue().values()) {
                out.println(JSON.writeValueAsString(Map.of("table", name, "row", row)));
            }
        }
        out.flush();
    }

    static Map<String, Object> settings(String brokers) {
        return Map.of(
            "bootstrap.servers", brokers,
            "isolation.level", "read_committed",
            "enable.auto.commit", "false");
    }

    static AvroKafkaDeserializer<GenericRecord> deserialiser(String registry, boolean ofKey) {
        AvroKafkaDeserializer<GenericRecord> deserialiser = new AvroKafkaDeserializer<>();
        deserialiser.configure(
            Map.of(
                // The registry's own interface stands beside the one that it shares with others.
                "apicurio.registry.url", registry.replace("/apis/ccompat/v7", "/apis/registry/v2"),
                "apicurio.registry.as-confluent", "true",
                "apicurio.registry.use-id", "contentId",
                "apicurio.registry.headers.enabled", "false"),
            ofKey);
        return deserialiser;
    }

    static void apply(Map<Object, Map<String, String>> rows, ConsumerRecord<GenericRecord, GenericRecord> record) {
        String key = record.key().toString();
        GenericRecord value = record.value();
        String op = value == null ? "d" : value.get("op").toString();
        switch (op) {
            case "d" -> rows.remove(key);
            case "c", "r", "u" -> {
                GenericRecord after = (GenericRecord) value.get("after");
                Map<String, String> row = new HashMap<>();
                for (Schema.Field field : after.getSchema().getFields()) {
                    String text = text(after.get(field.pos()), field.schema());
                    // What an update has not touched and the log does not hold stays as it was.
                    row.put(field.name(), UNAVAILABLE.equals(text) ? rows.get(key).get(field.name()) : text);
                }
                rows.put(key, row);
            }
            default -> throw new IllegalStateException("operation " + op);
        }
    }

    static String text(Object value, Schema schema) {
        if (value == null) {
            return null;
        }
        if (schema.getType() == Schema.Type.UNION) {
            return text(value, schema.getTypes().stream().filter(it -> it.getType() != Schema.Type.NULL).findFirst().get());
        }
        String name = schema.getProp("connect.name");
        if (name != null) {
            switch (name) {
                case "io.debezium.time.Date":
                    return LocalDate.ofEpochDay((Integer) value).toString();
                case "io.debezium.time.Time":
                case "io.debezium.time.Timestamp":
                    return String.valueOf(((Number) value).longValue() * 1000);
                case "io.debezium.time.ZonedTimestamp":
                    return String.valueOf(ChronoUnit.MICROS.between(Instant.EPOCH, Instant.parse(value.toString())));
                case "org.apache.kafka.connect.data.Decimal":
                    int scale = Integer.parseInt(schema.getObjectProp("scale").toString());
                    return new BigDecimal(new BigInteger(bytes(value)), scale).toPlainString();
                case "io.debezium.data.VariableScaleDecimal":
                    GenericRecord decimal = (GenericRecord) value;
                    BigInteger unscaled = new BigInteger(bytes(decimal.get("value")));
                    return new BigDecimal(unscaled, (Integer) decimal.get("scale")).toPlainString();
                case "io.debezium.data.geometry.Point":
                    GenericRecord point = (GenericRecord) value;
                    return bits((Double) point.get("x")) + "," + bits((Double) point.get("y"));
                default:
            }
        }
        return switch (schema.getType()) {
            case FLOAT -> HexFormat.of().toHexDigits(Float.floatToIntBits((Float) value));
            case DOUBLE -> bits((Double) value);
            case BYTES -> HexFormat.of().formatHex(bytes(value));
            case ARRAY -> array((List<?>) value);
            default -> value.toString();
        };
    }

    static String bits(double value) {
        return HexFormat.of().toHexDigits(Double.doubleToLongBits(value));
    }

    static byte[] bytes(Object value) {
        ByteBuffer buffer = ((ByteBuffer) value).duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    static String array(List<?> elements) {
        try {
            return JSON.writeValueAsString(
                elements.stream().map(it -> it instanceof CharSequence ? it.toString() : it).toList());
        } catch (Exception impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
