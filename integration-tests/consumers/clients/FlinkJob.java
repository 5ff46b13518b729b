// Materialises tables from topics in Debezium's form with Flink SQL and its format `debezium-avro-confluent`.
//
// FlinkJob.java BROKERS REGISTRY TOPIC_OF_COMPLETE TOPIC_OF_PAIRS
// Prints {"table": ..., "row": {column: text or null}} per row. What a value means is said by the table's definition.

import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

public class FlinkJob {
    static final String COMPLETE =
        "id BIGINT NOT NULL, b BOOLEAN, i2 INT NOT NULL, i4 INT NOT NULL, i8 BIGINT, f4 FLOAT, f8 DOUBLE, n DECIMAL(12, 2),"
            + " nv ROW<scale INT, `value` BYTES>, t STRING, v STRING, c STRING, `raw` BYTES, d DATE, tm BIGINT, tm3 TIME(3),"
            + " ts BIGINT, ts3 TIMESTAMP(3), tz STRING, u STRING, j STRING, jb STRING, m STRING, o STRING,"
            + " ints ARRAY<INT>, words ARRAY<STRING>, p ROW<x DOUBLE, y DOUBLE>, PRIMARY KEY (id) NOT ENFORCED";
    static final String PAIRS = "a INT NOT NULL, b STRING NOT NULL, v STRING, PRIMARY KEY (a, b) NOT ENFORCED";

    public static void main(String[] arguments) throws Exception {
        TableEnvironment flink = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        flink.getConfig().set("parallelism.default", "1");
        String[][] tables = {{"complete", COMPLETE}, {"pairs", PAIRS}};
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (int i = 0; i < tables.length; i++) {
            String name = tables[i][0];
            flink.executeSql(definition(name, tables[i][1], arguments[0], arguments[1], arguments[2 + i]));
            List<String> columns = flink.from(name).getResolvedSchema().getColumnNames();
            for (Row row : materialise(flink, name)) {
                out.println(json(name, columns, row));
            }
        }
        out.flush();
    }

    static String definition(String name, String columns, String brokers, String registry, String topic) {
        return "CREATE TABLE " + name + " (" + columns + ") WITH ("
            + "'connector' = 'kafka', 'topic' = '" + topic + "', 'properties.bootstrap.servers' = '" + brokers + "',"
            + "'properties.isolation.level' = 'read_committed', 'properties.group.id' = 'flink',"
            + "'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',"
            + "'format' = 'debezium-avro-confluent', 'debezium-avro-confluent.url' = '" + registry + "')";
    }

    // The changelog that Flink makes of the topic, applied as any sink applies it: a row that is taken back must be there.
    static Iterable<Row> materialise(TableEnvironment flink, String name) throws Exception {
        Map<Row, Integer> rows = new HashMap<>();
        try (CloseableIterator<Row> changes = flink.executeSql("SELECT * FROM " + name).collect()) {
            while (changes.hasNext()) {
                Row change = changes.next();
                boolean added = switch (change.getKind()) {
                    case INSERT, UPDATE_AFTER -> true;
                    case UPDATE_BEFORE, DELETE -> false;
                };
                change.setKind(org.apache.flink.types.RowKind.INSERT);
                int count = rows.merge(change, added ? 1 : -1, Integer::sum);
                if (count == 0) {
                    rows.remove(change);
                } else if (count != 1) {
                    throw new IllegalStateException(name + " holds " + count + " of " + change);
                }
            }
        }
        return rows.keySet();
    }

    static String json(String table, List<String> columns, Row row) {
        StringBuilder text = new StringBuilder("{\"table\": \"" + table + "\", \"row\": {");
        for (int i = 0; i < columns.size(); i++) {
            String value = text(columns.get(i), row.getField(i));
            text.append(i == 0 ? "" : ", ").append(quoted(columns.get(i))).append(": ");
            text.append(value == null ? "null" : quoted(value));
        }
        return text.append("}}").toString();
    }

    static String text(String column, Object value) {
        if (value == null) {
            return null;
        } else if (column.equals("tz")) {
            return micros(Instant.parse((String) value));
        } else if (value instanceof LocalDateTime time) {
            return micros(time.toInstant(ZoneOffset.UTC));
        } else if (value instanceof java.time.LocalTime time) {
            return String.valueOf(time.toNanoOfDay() / 1000);
        } else if (value instanceof Float number) {
            return HexFormat.of().toHexDigits(Float.floatToIntBits(number));
        } else if (value instanceof Double number) {
            return bits(number);
        } else if (value instanceof BigDecimal number) {
            return number.toPlainString();
        } else if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        } else if (value instanceof Object[] elements) {
            StringBuilder array = new StringBuilder("[");
            for (Object element : elements) {
                array.append(array.length() == 1 ? "" : ",");
                array.append(element instanceof String text ? quoted(text) : String.valueOf(element));
            }
            return array.append("]").toString();
        } else if (column.equals("nv")) {
            Row decimal = (Row) value;
            BigInteger unscaled = new BigInteger((byte[]) decimal.getField(1));
            return new BigDecimal(unscaled, (Integer) decimal.getField(0)).toPlainString();
        } else if (column.equals("p")) {
            Row point = (Row) value;
            return bits((Double) point.getField(0)) + "," + bits((Double) point.getField(1));
        }
        return value.toString();
    }

    static String micros(Instant moment) {
        return String.valueOf(ChronoUnit.MICROS.between(Instant.EPOCH, moment));
    }

    static String bits(double value) {
        return HexFormat.of().toHexDigits(Double.doubleToLongBits(value));
    }

    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                quoted.append('\\').append(letter);
            } else if (letter < ' ') {
                quoted.append(String.format("\\u%04x", (int) letter));
            } else {
                quoted.append(letter);
            }
        }
        return quoted.append('"').toString();
    }
}
