import { bundleCli } from '../images/bundle.ts';
import { type Stack, type StackOptions, startStack } from '../stack/index.ts';
import { orderInstance, organization } from './order.ts';
import { summary, web } from './summary.ts';
import { useDatabase } from './use-database.ts';

/** Starts the stack, orders a database, uses it, and returns what to stop in the end. */
export async function up(options: StackOptions & { signal: AbortSignal }): Promise<Stack> {
  const stack = await startStack(options);
  try {
    const outputs = await stack.phases.run('An order, hop by hop', (say) =>
      orderInstance(stack, say, options.signal),
    );
    if (stack.realContainers) {
      await stack.phases
        .run('The product in use', (say) => useDatabase(stack, outputs, say))
        // Whoever broke the example in an earlier run needs the stack to repair it.
        .catch((error: Error) =>
          stack.phases.say(
            `NOT DONE: ${error.message}. The stack stays up; see the Instance, or delete it through the API and run this again`,
          ),
        );
    } else {
      stack.phases.say(
        `NOT DONE: a query. Provider "${stack.provider}" runs no container; PROVIDER=nodes (Linux, root) or kind does`,
      );
    }
    const hasWeb = (await stack.api.find(`/v1/organizations/${organization}/instances/${web}`)) !== undefined;
    options.onProgress?.(summary(stack, await bundleCli(), hasWeb));
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}
