import java.util.Arrays;

/**
 * Starts a node that is one of several. Java compiles it as it starts:
 * {@code java -cp JARS ClusterNode.java ROLES ARGUMENT...}
 * {@code RUNNER} stands for the engine's own main class.
 *
 * <p>That class makes a lone node a cluster of its own, and gives every node the same roles,
 * whatever their settings say.
 */
final class ClusterNode {
    public static void main(String[] arguments) throws InterruptedException {
        RUNNER runner = new RUNNER();
        runner.onBuild((number, settings) -> {
            settings.put("discovery.type", "zen");
            settings.putList("node.roles", arguments[0].split(","));
        });
        runner.build(Arrays.copyOfRange(arguments, 1, arguments.length));
        // The engine's own threads keep no process alive.
        Thread.currentThread().join();
    }
}
