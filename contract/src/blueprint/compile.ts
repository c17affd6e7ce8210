import { digestOf } from '../canonical.ts';
import { plainWords } from '../plain-words.ts';
import { type BlueprintNode, type BlueprintSpec, blueprintSpecSchema } from '../resources/blueprint.ts';
import {
  type EachTypes,
  type Expression,
  ExpressionCompiler,
  ExpressionProblem,
  parameterPath,
  type Visible,
} from './expression.ts';
import { checkManifest } from './manifest.ts';
import { checkParameterSchema, type ParameterSchema } from './parameter-schema.ts';
import { isRecord, MAX_PROBLEMS, type Problem, pointer, quoteList } from './problem.ts';
import {
  checkDefaults,
  checkDriftPaths,
  checkForEachFields,
  checkIds,
  RESERVED_IDS,
} from './static-checks.ts';
import { splitTemplate, TemplateSyntaxError } from './template.ts';
import { setWaves } from './waves.ts';

/** A manifest value with its expressions compiled. */
export type CompiledValue =
  | { kind: 'literal'; value: unknown }
  | { kind: 'expression'; expression: Expression }
  | { kind: 'text'; parts: (string | Expression)[] }
  | { kind: 'list'; items: CompiledValue[] }
  | { kind: 'map'; entries: [string, CompiledValue][] };

export interface CompiledNode {
  node: BlueprintNode;
  kind: string;
  apiVersion: string;
  when: Expression[];
  /** The key is absent where an item is its own. */
  forEach?: { items: Expression; key?: Expression };
  body: CompiledValue;
  ready: Expression[];
  failed: { when: Expression; audience: 'tenant' | 'operator'; reason: string; message: string }[];
  /** Nodes whose fields the manifest reads: they are applied first. */
  dependsOn: ReadonlySet<string>;
  /** Children are applied from wave 0 up and deleted from the highest down. */
  wave: number;
}

export interface CompiledOutput {
  name: string;
  expression: Expression;
  sensitive: boolean;
}

export interface CompiledBlueprint {
  spec: BlueprintSpec;
  digest: string;
  parameters: ParameterSchema;
  /** By wave, then in the author's order. */
  nodes: CompiledNode[];
  /** Nodes whose observed children some expression reads. */
  observed: ReadonlySet<string>;
  outputs: CompiledOutput[];
}

const MAX_EXPRESSIONS = 512;
const ALONE: Visible = { nodes: false };
const READING: Visible = { nodes: true };
/** Checks everything and compiles all expressions. With any problem there is no compiled Blueprint. */
export function compileBlueprint(input: unknown): { compiled?: CompiledBlueprint; problems: Problem[] } {
  const parsed = blueprintSpecSchema.safeParse(input);
  if (!parsed.success)
    return {
      problems: parsed.error.issues
        .flatMap((issue) => plainWords(issue, Object.keys(blueprintSpecSchema.shape)))
        .slice(0, MAX_PROBLEMS)
        .map((finding) => ({ remedy: 'correct the field; docs/blueprints.md describes it', ...finding })),
    };
  const spec = parsed.data;
  const problems = checkParameterSchema(spec.parameters);
  if (problems.length > 0) return { problems: problems.slice(0, MAX_PROBLEMS) };
  const parameters = spec.parameters as unknown as ParameterSchema;
  problems.push(...checkDefaults(parameters, '/parameters'), ...checkIds(spec));
  const build = new Builder(spec, parameters, problems);
  const nodes = spec.nodes.map((node, index) => build.node(node, pointer('/nodes', index)));
  const outputs = Object.entries(spec.outputs ?? {}).map(([name, output]) => ({
    name,
    sensitive: output.sensitive ?? false,
    expression: build.output(name, output.value, output.sensitive ?? false),
  }));
  const observed = new Set(nodes.flatMap((node) => [...node.dependsOn]));
  for (const { expression } of outputs) {
    for (const id of expression?.nodes ?? []) observed.add(id);
    if (expression?.secretRef) observed.add(expression.secretRef.node);
  }
  problems.push(...setWaves(nodes, spec));
  if (problems.length > 0) return { problems: problems.slice(0, MAX_PROBLEMS) };
  return {
    problems: [],
    compiled: {
      spec,
      digest: digestOf(spec),
      parameters,
      nodes: nodes.toSorted((a, b) => a.wave - b.wave),
      observed,
      outputs: outputs.filter((output): output is CompiledOutput => output.expression !== undefined),
    },
  };
}

/** Where in a node a value stands. */
interface Place {
  /** Of the manifest, when it is that of a Secret. */
  secret?: string;
  /** Collects the nodes that are read. */
  dependsOn: Set<string>;
  each?: EachTypes;
}

class Builder {
  readonly #problems: Problem[];
  readonly #compiler: ExpressionCompiler;
  readonly #secretNodes: Set<string>;
  readonly #spec: BlueprintSpec;
  #count = 0;

  constructor(spec: BlueprintSpec, parameters: ParameterSchema, problems: Problem[]) {
    this.#spec = spec;
    this.#problems = problems;
    const ids = spec.nodes.map((node) => node.id).filter((id) => !RESERVED_IDS.has(id));
    this.#compiler = new ExpressionCompiler(parameters, new Map(ids.map((id) => [id, 'dyn'])));
    this.#secretNodes = new Set(
      spec.nodes.filter((node) => node.manifest.kind === 'Secret').map((node) => node.id),
    );
  }

  node(node: BlueprintNode, base: string): CompiledNode {
    const manifestPath = pointer(base, 'manifest');
    this.#problems.push(
      ...checkManifest(node, manifestPath),
      ...checkForEachFields(node, base),
      ...checkDriftPaths(node, base),
    );
    const dependsOn = new Set<string>();
    const { forEach, each } = this.#forEach(node, base);
    const observing = { nodes: false, self: 'dyn', ...(each ? { each } : {}) };
    const rules = (list: readonly string[] | undefined, field: string, visible: Visible): Expression[] =>
      (list ?? []).flatMap((source, index) => this.#condition(source, pointer(base, field, index), visible));
    const failed = (node.failed ?? []).flatMap(({ when, audience, reason, message = '' }, index) =>
      this.#condition(when, pointer(base, 'failed', index, 'when'), observing).map((rule) => ({
        when: rule,
        audience,
        reason,
        message,
      })),
    );
    const kind = String(node.manifest.kind);
    const secret = this.#secretNodes.has(node.id) ? { secret: manifestPath } : {};
    return {
      node,
      kind,
      apiVersion: String(node.manifest.apiVersion),
      when: rules(node.when, 'when', ALONE),
      ...(forEach ? { forEach } : {}),
      ready: rules(node.ready, 'ready', observing),
      failed,
      body: this.#value(node.manifest, manifestPath, { ...secret, dependsOn, ...(each ? { each } : {}) }),
      dependsOn,
      wave: 0,
    };
  }

  #forEach(node: BlueprintNode, base: string): { forEach?: CompiledNode['forEach']; each?: EachTypes } {
    if (node.forEach === undefined) return {};
    const path = pointer(base, 'forEach');
    const items = this.#whole(node.forEach, path, ALONE);
    // Its problem is told; `each` is known all the same, so that not every use of it is another one.
    if (!items) return { each: { value: 'dyn', index: 'int', key: 'string' } };
    this.#checkSecrecy(items, path);
    const { value, isMap } = itemType(items.type);
    if (value === undefined) {
      this.#add(
        path,
        `"${items.source}" is of type ${items.type}, a list or a map is needed here`,
        'name a parameter of type array, or of type object with additionalProperties',
      );
      return {};
    }
    const each: EachTypes = { value, index: 'int', ...(isMap ? { key: 'string' } : {}) };
    const key = node.key === undefined ? undefined : this.#key(node.key, pointer(base, 'key'), each);
    if (node.key === undefined && !isMap && value !== 'string' && value !== 'int')
      this.#add(
        path,
        `the items are of type ${value}, which is not a key`,
        "add a `key`, for example '${each.value.name}'",
      );
    return { forEach: { items, ...(key ? { key } : {}) }, each: { ...each, key: 'string' } };
  }

  #key(source: string, path: string, each: EachTypes): Expression | undefined {
    const key = this.#whole(source, path, { ...ALONE, each });
    if (!key) return undefined;
    this.#checkSecrecy(key, path);
    return this.#isOfType(key, ['string', 'int'], path) ? key : undefined;
  }

  #condition(source: string, path: string, visible: Visible): Expression[] {
    const expression = this.#whole(source, path, visible);
    if (expression) this.#checkSecrecy(expression, path);
    return expression && this.#isOfType(expression, ['bool'], path) ? [expression] : [];
  }

  output(name: string, source: string, sensitive: boolean): Expression | undefined {
    const at = pointer('/outputs', name, 'value');
    const expression = this.#whole(source, at, READING);
    if (!expression) return undefined;
    const { secretRef } = expression;
    if (sensitive && !secretRef)
      this.#add(
        at,
        'a sensitive output must be a reference, its value leaves the cluster only sealed',
        `write "\${secretRef('<node>', '<key>')}"`,
      );
    if (!sensitive && secretRef)
      this.#add(at, 'refers to a Secret but is not marked sensitive', 'set sensitive: true');
    if (secretRef) this.#checkSecretRef(secretRef, at);
    this.#checkSecrecy(expression, at);
    return expression;
  }

  #checkSecretRef(reference: { node: string; key: string }, at: string): void {
    const node = this.#spec.nodes.find((item) => item.id === reference.node);
    if (!node || !this.#secretNodes.has(reference.node)) {
      this.#add(
        at,
        `"${reference.node}" is not a Secret node; there are ${quoteList(this.#secretNodes)}`,
        'name a Secret node',
      );
      return;
    }
    if (node.forEach !== undefined) {
      this.#add(
        at,
        `node "${reference.node}" is as many Secrets as its forEach has items`,
        'name one Secret',
      );
      return;
    }
    const { data, stringData } = node.manifest;
    // A map that is computed as a whole is known only when it is rendered.
    if (typeof data === 'string' || typeof stringData === 'string') return;
    const keys = [
      ...(node.generate ?? []).map((item) => item.key),
      ...Object.keys(isRecord(data) ? data : {}),
      ...Object.keys(isRecord(stringData) ? stringData : {}),
    ];
    if (!keys.includes(reference.key))
      this.#add(
        at,
        `Secret node "${reference.node}" has no key "${reference.key}"; there are ${quoteList(keys)}`,
        'name an existing key, or `generate` it',
      );
  }

  #value(value: unknown, path: string, place: Place): CompiledValue {
    if (Array.isArray(value)) {
      const items = value.map((item, index) => this.#value(item, pointer(path, index), place));
      return items.every((item) => item.kind === 'literal')
        ? { kind: 'literal', value }
        : { kind: 'list', items };
    }
    if (isRecord(value)) {
      const entries = Object.entries(value).map(([key, item]): [string, CompiledValue] => [
        key,
        this.#value(item, pointer(path, key), place),
      ]);
      return entries.every(([, item]) => item.kind === 'literal')
        ? { kind: 'literal', value }
        : { kind: 'map', entries };
    }
    if (typeof value !== 'string' || !value.includes('${')) return { kind: 'literal', value };
    return this.#text(value, path, place);
  }

  #text(source: string, path: string, { secret, dependsOn, each }: Place): CompiledValue {
    const parts = this.#attempt(path, () => splitTemplate(source));
    if (!parts) return { kind: 'literal', value: source };
    const compiled: (string | Expression)[] = [];
    for (const part of parts) {
      if ('text' in part) {
        compiled.push(part.text);
        continue;
      }
      const visible = each ? { ...READING, each } : READING;
      const expression = this.#expression(part.expression, path, visible);
      if (!expression) continue;
      if (expression.secretRef) {
        this.#add(path, 'secretRef(…) is for outputs', 'use valueFrom.secretKeyRef in a manifest');
        continue;
      }
      this.#checkSecrecy(expression, path, secret);
      for (const node of expression.nodes) dependsOn.add(node);
      if (parts.length > 1) this.#isOfType(expression, ['string', 'int', 'double', 'bool'], path);
      compiled.push(expression);
    }
    const [only] = compiled;
    if (parts.length === 1 && only !== undefined)
      return typeof only === 'string'
        ? { kind: 'literal', value: only }
        : { kind: 'expression', expression: only };
    return { kind: 'text', parts: compiled };
  }

  /** Content of Secrets is never read, and a sensitive parameter ends up as a value in Secrets only. */
  #checkSecrecy(expression: Expression, path: string, secret?: string): void {
    const secrets = [...expression.nodeContents].filter((node) => this.#secretNodes.has(node));
    if (secrets.length > 0)
      this.#add(
        path,
        `reads the content of Secret ${quoteList(secrets)}, which never leaves the Secret`,
        'use `<node>.metadata.name` with valueFrom.secretKeyRef, or secretRef(…) in a sensitive output',
      );
    if (expression.secrets.size === 0) return;
    const names = quoteList(expression.secrets);
    if (!isSecretValuePlace(expression, path, secret))
      this.#add(
        path,
        `reads sensitive parameters (${names}) outside the values of a Secret`,
        'write the value below `data` or `stringData` of a Secret node and refer to that; has(…) asks whether it was given',
      );
    // What is applied is told from the parameters alone, without the secret (see mark.ts).
    else if (expression.nodeContents.size > 0)
      this.#add(
        path,
        `reads sensitive parameters (${names}) together with other children`,
        'write two expressions beside each other in the text',
      );
  }

  /** A rule or an output: one expression and nothing else. */
  #whole(source: string, path: string, visible: Visible): Expression | undefined {
    const parts = this.#attempt(path, () => splitTemplate(source));
    const [part] = parts ?? [];
    if (!parts || !part) return undefined;
    if (parts.length !== 1 || 'text' in part) {
      this.#add(path, 'must be exactly one expression', 'write "${…}" with nothing around it');
      return undefined;
    }
    return this.#expression(part.expression, path, visible);
  }

  #expression(source: string, path: string, visible: Visible): Expression | undefined {
    this.#count += 1;
    if (this.#count > MAX_EXPRESSIONS) {
      if (this.#count === MAX_EXPRESSIONS + 1)
        this.#add(path, `the Blueprint has more than ${MAX_EXPRESSIONS} expressions`, 'simplify it');
      return undefined;
    }
    return this.#attempt(path, () => this.#compiler.compile(source, visible));
  }

  #isOfType(expression: Expression, types: readonly string[], path: string): boolean {
    if (expression.type === 'dyn' || types.includes(expression.type)) return true;
    this.#add(
      path,
      `"${expression.source}" is of type ${expression.type}, ${types.join(' or ')} is needed here`,
      types.length === 1 ? 'write a comparison' : 'make the expression the whole value, or convert it',
    );
    return false;
  }

  #attempt<T>(path: string, action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (error instanceof ExpressionProblem) this.#add(path, error.message, error.remedy);
      else if (error instanceof TemplateSyntaxError) this.#add(path, error.message, 'close the expression');
      else throw error;
      return undefined;
    }
  }

  #add(path: string, message: string, remedy: string): void {
    this.#problems.push({ path, message, remedy });
  }
}

/** CEL type of what a loop over `type` gives; without a value it is nothing to loop over. */
function itemType(type: string): { value?: string; isMap: boolean } {
  if (type === 'dyn' || type === 'list') return { value: 'dyn', isMap: false };
  if (type === 'map') return { value: 'dyn', isMap: true };
  const value = /^(?:list<|map<string, )(.+)>$/.exec(type)?.[1];
  return { ...(value ? { value } : {}), isMap: type.startsWith('map<') };
}

/** Everybody may see the keys of a Secret, so a whole map is only what a parameter says, not what was made of it. */
function isSecretValuePlace({ run }: Expression, path: string, secret: string | undefined): boolean {
  if (secret === undefined) return false;
  return ['data', 'stringData'].some((field) => {
    const values = pointer(secret, field);
    return path.startsWith(`${values}/`) || (path === values && parameterPath(run.ast) !== undefined);
  });
}
