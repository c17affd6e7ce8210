import { quoteList } from './problem.ts';

/** Fields of an object type, by its name. */
type FieldsOf = (type: string) => Readonly<Record<string, string>> | undefined;

/** Which types of CEL make which scalar types of Kubernetes. */
const MAKES: Readonly<Record<string, readonly string[]>> = {
  string: ['string'],
  bytes: ['string'],
  int: ['int'],
  number: ['int', 'double'],
  bool: ['bool'],
  quantity: ['string', 'int', 'double'],
  intOrString: ['int', 'string'],
};
const QUANTITY = /^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** What `list<T>` and `map<T>` consist of. */
export function elementOf(type: string): { of: 'list' | 'map'; type: string } | undefined {
  const [, of, inner] = /^(list|map)<(.+)>$/.exec(type) ?? [];
  return inner === undefined ? undefined : { of: of as 'list' | 'map', type: inner };
}

/** Whether a value of a CEL type can be what Kubernetes wants. What is known only at run time can. */
export function fits(cel: string, wanted: string, fieldsOf: FieldsOf): boolean {
  if (wanted === 'any' || cel === 'dyn' || cel === 'null' || cel === wanted) return true;
  const scalars = MAKES[wanted.startsWith('enum<') ? 'string' : wanted];
  if (scalars) return scalars.includes(cel);
  const element = elementOf(wanted);
  if (element?.of === 'list') {
    const item = /^list<(.+)>$/.exec(cel)?.[1];
    return cel === 'list' || (item !== undefined && fits(item, element.type, fieldsOf));
  }
  const value = /^map<(?:string|dyn), (.+)>$/.exec(cel)?.[1];
  // A map may have any keys, so an object type takes one if the values could be those of its fields.
  if (cel === 'map' || (value !== undefined && !element)) return true;
  if (value !== undefined && element) return fits(value, element.type, fieldsOf);
  const given = fieldsOf(cel);
  if (!given) return false;
  const fields = fieldsOf(wanted);
  return Object.entries(given).every(([name, type]) => {
    const field = element ? element.type : (fields?.[name] ?? fields?.[`${name}!`]);
    return field !== undefined && fits(type, field, fieldsOf);
  });
}

/** What is wrong with a literal, and what to do about it. */
export function literalProblem(
  value: unknown,
  wanted: string,
): [message: string, remedy: string] | undefined {
  const options = /^enum<(.*)>$/.exec(wanted)?.[1]?.split('|');
  if (options && typeof value === 'string')
    return options.includes(value)
      ? undefined
      : [`must be one of ${quoteList(options)}, got "${value}"`, 'choose one of them'];
  const type = options ? 'string' : wanted;
  if (MAKES[type]?.includes(celTypeOfLiteral(value))) {
    if (type === 'quantity' && typeof value === 'string' && !QUANTITY.test(value))
      return [`"${value}" is not a quantity`, 'write for example 250m, 1.5 or 64Mi'];
    if (type === 'bytes' && !BASE64.test(value as string))
      return ['is not base64', 'put plain text into stringData'];
    return undefined;
  }
  const got = `must be ${typeWords(wanted)}, got ${JSON.stringify(value)?.slice(0, 64)}`;
  if (typeof value === 'string' && ['int', 'number', 'bool'].includes(type))
    return [got, 'write it without quotes'];
  return [got, ['string', 'bytes'].includes(type) ? 'write it in quotes' : 'correct the value'];
}

function celTypeOfLiteral(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'double';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'string' ? 'string' : 'none';
}

const WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  bytes: 'a text in base64',
  int: 'an integer',
  number: 'a number',
  bool: 'true or false',
  quantity: 'a quantity like 250m or 64Mi',
  intOrString: 'an integer or a text',
};

export function typeWords(type: string): string {
  const element = elementOf(type);
  if (element) return `a ${element.of} of ${WORDS[element.type] ?? element.type}`;
  return WORDS[type] ?? (type.startsWith('enum<') ? 'a text' : `an object (${type})`);
}
