import type { Command, Option } from 'commander';
import type { CommonFlags } from './commands/context.ts';

/** What may come instead of the last word, which may be empty. */
export async function complete(
  program: Command,
  words: readonly string[],
  instanceNames: (flags: Partial<CommonFlags>) => Promise<string[]>,
): Promise<string[]> {
  const last = words.at(-1) ?? '';
  const { command, flags, given, wantsValue } = read(program, words.slice(0, -1));
  const candidates = async (): Promise<string[]> => {
    if (wantsValue) return [];
    if (last.startsWith('-'))
      return [...(command?.options ?? []), ...program.options].map(({ long }) => long ?? '');
    if (!command) return program.commands.map((item) => item.name());
    const takesInstance = command.registeredArguments.some((argument) =>
      argument.name().startsWith('instance'),
    );
    return takesInstance && given === 0 ? instanceNames(flags) : [];
  };
  return (await candidates()).filter((word) => word.startsWith(last)).toSorted();
}

/** What has been said so far. */
function read(program: Command, words: readonly string[]) {
  let command: Command | undefined;
  let given = 0;
  let expects: Option | undefined;
  const flags: Partial<CommonFlags> = {};
  for (const word of words) {
    if (expects) {
      Object.assign(flags, { [expects.attributeName()]: word });
      expects = undefined;
    } else if (word.startsWith('-')) {
      const options: readonly Option[] = [...(command?.options ?? []), ...program.options];
      const option = options.find(({ short, long }) => word === short || word === long);
      if (option?.required) expects = option;
      else if (option) Object.assign(flags, { [option.attributeName()]: true });
    } else if (command) given += 1;
    else command = program.commands.find((item) => item.name() === word);
  }
  return { command, flags, given, wantsValue: expects !== undefined };
}
