// Runs Trino's own parser: `java -cp 'target/trino-parser/*' tests/athena/Parse.java FILE...`, each file one
// statement. Prints a line for each: the file, `ok` or the parser's message.

import io.trino.sql.parser.ParsingException;
import io.trino.sql.parser.SqlParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

public class Parse {
    public static void main(String[] files) throws IOException {
        SqlParser parser = new SqlParser();
        for (String file : files) {
            String verdict = "ok";
            try {
                parser.createStatement(Files.readString(Path.of(file)));
            } catch (ParsingException refused) {
                verdict = refused.getMessage().replaceAll("\\s+", " ");
            }
            System.out.println(file + "\t" + verdict);
        }
    }
}
