using System.CommandLine;
using System.Globalization;

namespace Pollux.Cli.Commands;

/// <summary>What an option may be.</summary>
internal static class OptionExtensions
{
    /// <summary>
    /// Refuses a value outside a range. It looks at the word that was typed: a validator that asks the library for the value of a word that is none brings
    /// the command down.
    /// </summary>
    /// <param name="range">As in "--rounds is '0', and goes from 1 to 10".</param>
    internal static void Goes<T>(this Option option, Func<T, bool> isIn, string range) where T : struct, IParsable<T> => option.Validators.Add(result =>
    {
        if (result.Tokens is [var token] && !(T.TryParse(token.Value, CultureInfo.InvariantCulture, out var value) && isIn(value)))
        {
            result.AddError($"{option.Name} is '{token.Value}', and goes {range}");
        }
    });
}
