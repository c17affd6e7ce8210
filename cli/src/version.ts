import manifest from '../package.json' with { type: 'json' };

/** Put in by the bundler (dev/src/images/bundle.ts), which knows it; what runs from the sources has none. */
declare const FELUCCA_COMMIT: string | undefined;

export const BUILD: { version: string; commit?: string } = {
  version: manifest.version,
  ...(typeof FELUCCA_COMMIT === 'string' ? { commit: FELUCCA_COMMIT } : {}),
};

/** Such as `0.1.0 (commit 1f2676f0a1b2)`. */
export const buildText = ({ version, commit }: typeof BUILD): string =>
  commit ? `${version} (commit ${commit})` : version;
