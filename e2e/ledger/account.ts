/** What the tenants were told of one Instance: each acknowledged change is one generation more. */
export interface Account {
  readonly name: string;
  readonly organization: string;
  readonly dataPlane: string;
  /** Once its order is acknowledged. */
  id: string;
  /** Acknowledged changes, its order included. */
  changes: number;
  text: string;
  suspended: boolean;
  deleted: boolean;
}

/** One end's view of the same Instance. */
export interface Entry {
  generation: number;
  text: string;
  suspended: boolean;
  deleted: boolean;
}

const MAX_SHOWN = 20;

/** Collects what two ends do not agree about; only the first of them are kept as text. */
export class Differences {
  count = 0;
  readonly shown: string[] = [];

  add(text: string): void {
    this.count += 1;
    if (this.shown.length < MAX_SHOWN) this.shown.push(text);
  }

  /** @param found undefined when the other end does not know it */
  compare(where: string, { id, name, ...told }: Account, found: Partial<Entry> | undefined): void {
    const wanted: Entry = {
      generation: told.changes,
      text: told.text,
      suspended: told.suspended,
      deleted: told.deleted,
    };
    if (!found) {
      this.add(`${where} lost ${name} (${id})`);
      return;
    }
    for (const [field, value] of Object.entries(found))
      if (value !== wanted[field as keyof Entry])
        this.add(
          `${where} has ${field} ${value} of ${name} (${id}); acknowledged was ${wanted[field as keyof Entry]}`,
        );
  }
}
