import {
  type BlueprintObject,
  type CompiledBlueprint,
  compileBlueprint,
  digestOf,
  type Problem,
} from '@felucca/contract';

const MAX_BLUEPRINTS = 500;

export interface CompileResult {
  digest: string;
  compiled?: CompiledBlueprint;
  problems: Problem[];
}

/** Compiles every Blueprint once per digest; the least recently used ones are compiled again. */
export class CompiledBlueprints {
  readonly #byDigest = new Map<string, CompileResult>();
  readonly #digestOfUid = new Map<string, { generation: number; digest: string }>();

  get(blueprint: BlueprintObject): CompileResult {
    const digest = this.#digest(blueprint);
    const known = this.#byDigest.get(digest);
    const result = known ?? { digest, ...compileBlueprint(blueprint.spec) };
    this.#byDigest.delete(digest);
    this.#byDigest.set(digest, result);
    const [oldest] = this.#byDigest.keys();
    if (this.#byDigest.size > MAX_BLUEPRINTS && oldest !== undefined) this.#byDigest.delete(oldest);
    return result;
  }

  /** Hashing a Blueprint at every reconcile of every Instance would cost more than the reconcile. */
  #digest({ metadata, spec }: BlueprintObject): string {
    const uid = metadata.uid ?? '';
    const known = this.#digestOfUid.get(uid);
    if (uid && known && known.generation === metadata.generation) return known.digest;
    const digest = digestOf(spec ?? {});
    if (this.#digestOfUid.size > MAX_BLUEPRINTS * 4) this.#digestOfUid.clear();
    this.#digestOfUid.set(uid, { generation: metadata.generation ?? 0, digest });
    return digest;
  }
}
