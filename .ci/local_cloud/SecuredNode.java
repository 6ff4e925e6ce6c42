import java.nio.file.Path;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/**
 * Starts a node of OpenSearch with its plugins: {@code java -cp HOME/lib/* SecuredNode.java HOME CONFIG}.
 *
 * <p>OpenSearch's own start refuses to run as root, and CI often does.
 */
final class SecuredNode {
    public static void main(String[] arguments) throws Exception {
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(
                Settings.EMPTY, Map.of("path.home", arguments[0]), Path.of(arguments[1]), () -> "secured");
        LogConfigurator.registerErrorListener();
        LogConfigurator.configure(environment);
        new Node(environment).start();
        // The engine's own threads keep no process alive.
        Thread.currentThread().join();
    }
}
