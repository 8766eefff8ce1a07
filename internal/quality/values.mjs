// Writes people, addresses and innocent texts of many countries, as faker-js makes
// them, one JSON object a line. Equal versions make equal lines.
import { allFakers } from "@faker-js/faker";

const people = 120;
const innocent = 400;
const familyFirst = new Set(["ja", "zh_CN", "zh_TW", "ko", "hu", "vi"]);
const locales = [
  "en_US", "en_GB", "en_AU", "en_IN", "en_NG", "de", "de_CH", "fr", "fr_CA", "es", "es_MX", "pt_BR", "pt_PT", "sv", "it", "pl", "nl",
  "da", "nb_NO", "fi", "cs_CZ", "hu", "ro", "hr", "tr", "id_ID", "vi", "zu_ZA", "ru", "uk", "el", "ja", "zh_CN", "ko", "ar", "he",
];
const write = (o) => process.stdout.write(JSON.stringify(o) + "\n");

locales.forEach((locale, k) => {
  const f = allFakers[locale];
  f.seed(20240 + k);
  f.setDefaultRefDate("2024-06-01T00:00:00Z");
  for (let i = 0; i < people; i++) {
    const given = f.person.firstName().trim();
    const family = f.person.lastName().trim();
    const glue = locale === "ja" || locale === "zh_CN" || locale === "ko" ? "" : " ";
    write({
      id: `${locale}-${i}`, locale, given, family,
      name: familyFirst.has(locale) ? family + glue + given : given + glue + family,
      street: f.location.streetAddress(), city: f.location.city(), zip: f.location.zipCode(), phone: f.phone.number(),
      email: f.internet.email({ provider: f.internet.domainName() }), company: f.company.name(),
      born: f.date.birthdate().toISOString().slice(0, 10),
    });
  }
});

const f = allFakers.en;
f.seed(77);
f.setDefaultRefDate("2024-06-01T00:00:00Z");
const kinds = {
  phrase: () => f.hacker.phrase(),
  commit: () => f.git.commitEntry({ merge: false }).replace(/^Author: .*$/m, "Author: ci-bot"),
  message: () => `${f.git.commitSha({ length: 7 })} ${f.git.commitMessage()}`,
  product: () => f.commerce.productName(),
  description: () => f.commerce.productDescription(),
  department: () => `${f.commerce.department()}, ${f.commerce.productAdjective()} ${f.commerce.productMaterial()}`,
  agent: () => f.internet.userAgent(),
  catch: () => f.company.catchPhrase(),
  buzz: () => f.company.buzzPhrase(),
  job: () => f.person.jobTitle(),
  path: () => f.system.filePath(),
  file: () => f.system.commonFileName(),
  cron: () => f.system.cron(),
  semver: () => `${f.internet.domainWord()} ${f.system.semver()}`,
  uuid: () => f.string.uuid(),
  ulid: () => f.string.ulid(),
  nanoid: () => f.string.nanoid(),
  hash: () => f.git.commitSha(),
  hex: () => f.string.hexadecimal({ length: 32, casing: "lower" }),
  money: () => `${f.finance.currencyCode()} ${f.finance.amount({ dec: 2, max: 99999, autoFormat: true })}`,
  transaction: () => f.finance.transactionDescription().replace(/ (to|with|using|at) .*$/, ""),
  date: () => f.date.recent().toISOString(),
  epoch: () => String(f.date.recent().getTime()),
  vin: () => f.vehicle.vin(),
  vehicle: () => f.vehicle.vehicle(),
  flight: () => f.airline.flightNumber({ addLeadingZeros: true }),
  dish: () => f.food.dish(),
  foods: () => f.food.description(),
  element: () => `${f.science.chemicalElement().name} ${f.science.chemicalElement().symbol}, ${f.science.unit().name}`,
  column: () => `${f.database.column()} ${f.database.type()} ${f.database.collation()}`,
  genre: () => `${f.music.genre()}; ${f.book.genre()}; ${f.book.format()}`,
  lorem: () => f.lorem.sentence(),
  slug: () => f.lorem.slug(),
  words: () => f.word.words({ count: { min: 4, max: 12 } }),
  colour: () => `${f.color.human()} ${f.color.rgb()} ${f.color.hsl()}`,
  isbn: () => f.commerce.isbn(),
  imei: () => `build ${f.string.numeric(10)} seq=${f.string.numeric(12)}`,
  animal: () => f.animal.type() + ", " + f.animal.dog(),
  zone: () => f.date.timeZone(),
};
for (const [kind, make] of Object.entries(kinds)) {
  for (let i = 0; i < innocent; i++) write({ id: `${kind}-${i}`, kind, text: make() });
}
