/** As kubectl writes a duration: two units while the larger one is small, then one. */
export function age(since: string | Date | undefined, now: Date): string {
  if (since === undefined) return '<unknown>';
  const seconds = Math.max(0, Math.floor((now.getTime() - new Date(since).getTime()) / 1000));
  if (Number.isNaN(seconds)) return '<unknown>';
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return two(days, 'd', hours % 24, 'h');
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

const two = (much: number, unit: string, less: number, small: string): string =>
  `${much}${unit}${less > 0 ? `${less}${small}` : ''}`;

/** As `age` writes it, as a word of its own. */
const AGE = /(?<![\w.-])\d+[smhdy](\d+[smh])?(?![\w.-])/g;

/** A picture without its ages, and without the room that they take: what is left differs when something has changed. */
export const withoutAges = (picture: string): string => picture.replace(AGE, 'AGE').replace(/ +/g, ' ');
