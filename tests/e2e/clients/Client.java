// Java's two standard HTTP clients: the old HttpURLConnection and the current HttpClient.
// Arguments: a URL and files. Posts each file with both and prints, tab-separated: client, file, status, outcome,
// length and SHA-256 of the response.
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.file.*;
import java.security.MessageDigest;
import java.util.HexFormat;

public class Client {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[0]);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int n = 1; n < arguments.length; n++) {
            Path file = Path.of(arguments[n]);
            old(uri, file);
            fresh(client, uri, file);
        }
    }

    static void old(URI uri, Path file) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        connection.setRequestProperty("Content-Type", "application/octet-stream");
        connection.setFixedLengthStreamingMode(Files.size(file));
        try {
            try (OutputStream out = connection.getOutputStream()) {
                Files.copy(file, out);
            } catch (IOException broken) {
                // The response may have arrived anyway.
            }
            int status = connection.getResponseCode();
            InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream();
            print("HttpURLConnection", file, status, connection.getHeaderField("X-Sagegate-Outcome"),
                 in == null ? new byte[0] : in.readAllBytes());
        } catch (IOException broken) {
            print("HttpURLConnection", file, 0, broken.getClass().getSimpleName(), new byte[0]);
        }
    }

    static void fresh(HttpClient client, URI uri, Path file) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(uri).header("Content-Type", "application/octet-stream")
            .POST(HttpRequest.BodyPublishers.ofFile(file)).build();
        try {
            HttpResponse<byte[]> response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
            print("HttpClient", file, response.statusCode(), response.headers().firstValue("X-Sagegate-Outcome").orElse(null),
                 response.body());
        } catch (IOException broken) {
            print("HttpClient", file, 0, broken.getClass().getSimpleName(), new byte[0]);
        }
    }

    static void print(String client, Path file, int status, String outcome, byte[] body) throws Exception {
        String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
        System.out.println(String.join("\t", client, file.getFileName().toString(), String.valueOf(status),
                                       outcome == null ? "-" : outcome, String.valueOf(body.length), hash));
    }
}
